/**
 * retry-n (P3): freeze the mirror entry; repeat a call that is busy, up to 16 times, without
 * telling anybody to get out of the way. A fault then gives up; a zap cannot, and kills the VM. The
 * TDX series v8 to v19 and the MMU series of 2024.
 *
 * What it breaks: 16 immediate tries are a lottery. A vCPU that is in the middle of an ACCEPT, or
 * of VP.ENTER with zero-step mitigation armed, is there for all of them (B-48); TRACK is repeated
 * without any bound (B-49).
 *
 * `retry-n-zap-under-read` is the branch of 2024, which also zapped with mmu_lock held for read,
 * freezing the entry meanwhile: others find nothing to wait for, and the page goes back while the
 * lock is shared.
 */
import { EMPTY, FROZEN, kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { faultUnder, retryLocally, type Install } from '../blocks/fault.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import {
  removePage,
  returnPages,
  zapLeaf,
  type Zap,
  type ZapLeaf,
  zappingBy,
} from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { isStatus, succeeded, type Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

const TRIES = 16;

/**
 * Repeats a call that is busy, at once; the last answer, for which `tolerated` statuses are no
 * surprise.
 */
export function* retryBounded(
  vm: Vm,
  fn: InterfaceFunction,
  operands: Partial<Operands>,
  tolerated: readonly number[] = [],
): Steps<Call> {
  for (let tries = 1; tries < TRIES; tries++) {
    const call = yield* vm.seamcall(fn, operands, [OPERAND_BUSY]);
    if (!isStatus(call, OPERAND_BUSY)) return call;
  }
  return yield* vm.seamcall(fn, operands, tolerated);
}

/** The frozen window, with a call that is repeated. */
const throughFrozenRetrying: Install = function* (vm, { place, to, fn, operands }) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN))) return false;
  const call = yield* retryBounded(vm, fn, operands, [OPERAND_BUSY]);
  yield* vm.mirror.write(place.table, place.index, succeeded(call) ? to : place.spte);
  return succeeded(call);
};

/** TRACK until it is not busy, then the kick. */
export function* trackSpinning(vm: Vm): Steps<void> {
  while (
    isStatus(
      yield* vm.seamcall(memTrack, { rcx: vm.address(vm.tdr) }, [OPERAND_BUSY]),
      OPERAND_BUSY,
    )
  ) {
    yield* vm.m.relax(vm.noEntry);
  }
  yield* kickAll(vm);
}

export const RETRYING: Zap = { call: retryBounded, track: trackSpinning };

export const retryN: Policy = {
  ...frozenMirror,
  name: 'retry-n',
  title: 'a call that is busy is repeated up to 16 times; a zap that still fails kills the VM',
  proposed: 'TDX series v8 to v19 (2022 to 2024), MMU part 2 v1 and v2 (P3)',
  breaks: [
    {
      rule: 'S01',
      rare: true,
      why: 'a vCPU inside the module outlasts 16 tries: OPERAND_BUSY where the zap cannot fail',
    },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', throughFrozenRetrying));
  },
  ...zappingBy((vm, place, at) => zapLeaf(vm, place, at, RETRYING)),
};

/**
 * Freezes the leaf, removes it from the Secure EPT, and only then empties the entry: with mmu_lock
 * held for read.
 */
const zapFrozen: ZapLeaf = function* (vm, place, gfn) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN))) return;
  yield* removePage(vm, place, gfn, RETRYING);
  yield* vm.mirror.write(place.table, place.index, EMPTY);
};

export const retryNZapUnderRead: Policy = {
  ...retryN,
  name: 'retry-n-zap-under-read',
  title: 'as retry-n, and pages are taken away with mmu_lock held for read',
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
 * Takes leaves and pages away with mmu_lock held for read: nobody is kept from mapping them again
 * meanwhile.
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

export default retryN;
