/**
 * seamcall-spinlock (P1): a spinlock of the VM serializes SEAMCALLs; the mirror is changed before,
 * by one atomic write. TDX series v3 to v7 (2022).
 *
 * What it breaks: the lock orders the calls, not the pairs of mirror write and call (B-43, B-44),
 * so that another vCPU walks through a table that the module does not have yet. And the guest's
 * calls, and VP.ENTER, do not take the lock.
 */
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { retryLocally, faultUnder, type Install } from '../blocks/fault.ts';
import { withoutVcpus } from '../blocks/seamcalls.ts';
import { zapLeaf, type Zap, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import { succeeded } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';
import { kickThenTrack } from './kick-then-track.ts';

/** Makes the mirror entry present, then calls the module under the spinlock. */
const mirrorThenTurn: Install = function* (vm, { place, to, fn, operands }) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, to))) return false;
  yield* vm.seamcallLock.lock();
  const call = yield* vm.seamcall(fn, operands, [OPERAND_BUSY]);
  yield* vm.seamcallLock.unlock();
  if (!succeeded(call)) yield* vm.mirror.write(place.table, place.index, place.spte);
  return succeeded(call);
};

/** A zap whose calls take the spinlock. */
const inTurn: Zap = {
  *call(vm, fn, operands) {
    yield* vm.seamcallLock.lock();
    const call = yield* withoutVcpus(vm, fn, operands);
    yield* vm.seamcallLock.unlock();
    return call;
  },
  track: kickThenTrack,
};

export const seamcallSpinlock: Policy = {
  ...frozenMirror,
  name: 'seamcall-spinlock',
  group: 'question',
  title: 'write the mirror first, and serialize SEAMCALLs by a spinlock',
  proposed: 'TDX series v3 to v7, 2022 (P1)',
  breaks: [
    { rule: 'K44', why: 'the mirror entry is present before the module has the page' },
    {
      rule: 'S01',
      why: 'a page is added under a table that the Secure EPT does not have yet: EPT_WALK_FAILED',
    },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', mirrorThenTurn));
  },
  ...zappingBy((vm, place, at) => zapLeaf(vm, place, at, inTurn)),
};

export default seamcallSpinlock;
