/**
 * retry-n (P3): freeze the mirror entry; repeat a call that is busy, up to 16 times, without
 * telling anybody to get out of the way. A fault then gives up; a zap cannot, and kills the VM. The
 * TDX series v8 to v19 and the MMU series of 2024.
 *
 * What it breaks: 16 immediate tries are a lottery. A vCPU that is in the middle of an ACCEPT, or
 * of VP.ENTER with zero-step mitigation armed, is there for all of them (B-48); TRACK is repeated
 * without any bound (B-49).
 */
import { FROZEN } from '../../spec/kvm/spte.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import { OPERAND_BUSY } from '../../spec/tdx/status.ts';
import { faultUnder, retryLocally, type Install } from '../blocks/fault.ts';
import { kickAll } from '../blocks/seamcalls.ts';
import { zapLeaf, type Zap, zappingBy } from '../blocks/zap.ts';
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
  group: 'question',
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

export default retryN;
