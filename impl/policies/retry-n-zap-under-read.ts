/**
 * retry-n-zap-under-read: retry-n that also zaps with mmu_lock held for read, the entry FROZEN
 * meanwhile (P3). A development branch of 2024.
 *
 * What it breaks: other actors find nothing to wait for, and the page is returned to the host while
 * the lock is shared.
 */
import { EMPTY, FROZEN, kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { removePage, returnPages, type ZapLeaf } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { RETRYING_ON_BUSY, retryN } from './retry-n.ts';

/**
 * Freezes the leaf, removes it from the Secure EPT, and only then empties the entry, all with
 * mmu_lock held for read.
 */
const zapFrozen: ZapLeaf = function* (vm, place, gfn) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN))) return;
  yield* removePage(vm, place, gfn, RETRYING_ON_BUSY);
  yield* vm.mirror.write(place.table, place.index, EMPTY);
};

export const retryNZapUnderRead: Policy = {
  ...retryN,
  name: 'retry-n-zap-under-read',
  group: 'question',
  title: 'as retry-n, but zap with mmu_lock held for read',
  proposed: 'development branch of the TDX series, 2024 (P3)',
  breaks: [
    {
      rule: 'K46',
      why: 'a present mirror entry is frozen and emptied with mmu_lock held for read',
    },
    {
      rule: 'S01',
      rare: true,
      why: 'faults elsewhere hold the tree lock as long as the zap tries: OPERAND_BUSY',
    },
  ],
  *unmap(vm, gfn, pages) {
    yield* zapUnderRead(vm, gfn, pages, zapFrozen);
  },
};

/**
 * Zaps leaves and returns their pages with mmu_lock held for read: nothing keeps a fault from
 * mapping them again meanwhile.
 */
export function* zapUnderRead(vm: Vm, gfn: number, pages: number, zap: ZapLeaf): Steps<void> {
  yield* vm.mmuLock.readLock();
  yield* vm.invalidation.begin();
  for (let at = gfn; at < gfn + pages; at++) {
    const place = yield* vm.mirror.walk(at, 0);
    if (place.level === 0 && kindOfSpte(place.spte) === LEAF) yield* zap(vm, place, at);
  }
  yield* returnPages(vm, gfn, pages);
  yield* vm.invalidation.end();
  yield* vm.mmuLock.readUnlock();
}

export default retryNZapUnderRead;
