/**
 * exclusive: mmu_lock held for write around everything, faults included. The simplest policy that
 * works, the yardstick for the others, and the only one that frees tables, promotes and demotes
 * while the TD runs.
 *
 * It shows that, if no other host thread calls the module, only vCPUs cause BUSY (ACCEPT, and
 * VP.ENTER under zero-step mitigation), and one kick resolves it. It removes tables bottom-up, each
 * with its ancestors mapped until then.
 */
import { EMPTY, kindOfSpte, pageOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { rangeBlock } from '../../spec/tdx/functions/range-block.ts';
import { septRemove } from '../../spec/tdx/functions/sept-remove.ts';
import { faultUnder, RETRY, retryLocally, throughFrozen } from '../blocks/fault.ts';
import { demoteUnder, promoteUnder, splitEdges, splitFolioUnder } from '../blocks/huge-pages.ts';
import { demotePage, freeTable } from '../blocks/resize.ts';
import { track, withoutVcpus } from '../blocks/seamcalls.ts';
import { releaseTd } from '../blocks/teardown.ts';
import { removeSlotUnder, unmapUnder, zapAll, zapLeaves } from '../blocks/zap.ts';
import { tdpMmu } from '../tdp-mmu/index.ts';
import { NO_DYNAMIC_PAMT, type Policy } from '../vm/policy.ts';
import { mapping, type Vm } from '../vm/vm.ts';

export const exclusive: Policy = {
  name: 'exclusive',
  group: 'baseline',
  title: 'hold mmu_lock for write around every operation',
  proposed:
    'the baseline of the thread of January 2023; huge pages as in the RFC series of 2025/26',
  vms: ['td'],
  breaks: [],
  direct: tdpMmu,
  never: NO_DYNAMIC_PAMT,
  *fault(vm, vcpu, gfn, acceptLevel) {
    return yield* retryLocally(vm, vcpu, function* () {
      // a page may be merged while it is pending, and the guest then accept a part of it
      if (acceptLevel === 0 && !(yield* demoteUnder(vm, gfn))) return RETRY;
      return yield* faultUnder(vm, gfn, 'write', throughFrozen);
    });
  },
  *unmap(vm, gfn, pages) {
    yield* unmapUnder(vm, gfn, pages, function* () {
      yield* splitEdges(vm, gfn, pages);
      yield* zapLeaves(vm, gfn, pages, demotePage);
    });
  },
  *removeTable(vm, gfn, level) {
    const first = vm.tdx.geometry.align(gfn, level);
    const pages = vm.mirror.span(level);
    yield* unmapUnder(vm, first, pages, function* () {
      yield* zapLeaves(vm, first, pages, demotePage);
      yield* removeEmptyTables(vm, first, level);
    });
  },
  *promote(vm, gfn) {
    yield* promoteUnder(vm, gfn);
  },
  *demote(vm, gfn) {
    yield* demoteUnder(vm, gfn);
  },
  *splitFolio(vm, gfn) {
    yield* splitFolioUnder(vm, gfn);
  },
  *removeSlot(vm) {
    yield* removeSlotUnder(vm, () => zapLeaves(vm, 0, vm.td.slotPages, demotePage));
  },
  *destroy(vm) {
    yield* zapAll(vm, demotePage);
    yield* releaseTd(vm);
  },
};

/** Removes the table at an entry, which has no leaves, from mirror and Secure EPT, lowest first. */
function* removeEmptyTables(vm: Vm, gfn: number, level: number): Steps<void> {
  const place = yield* vm.mirror.walk(gfn, level);
  if (place.level !== level || kindOfSpte(place.spte) !== TABLE) return;
  const below = level > 1 ? vm.mirror.fanout : 0;
  for (let i = 0; i < below; i++)
    yield* removeEmptyTables(vm, gfn + i * vm.mirror.span(level - 1), level - 1);
  yield* vm.mirror.write(place.table, place.index, EMPTY);
  yield* withoutVcpus(vm, rangeBlock, mapping(vm, gfn, level));
  yield* track(vm);
  yield* withoutVcpus(vm, septRemove, mapping(vm, gfn, level));
  yield* freeTable(vm, pageOfSpte(place.spte));
}

export default exclusive;
