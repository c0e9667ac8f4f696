/**
 * retry-n (P3): the mirror entry is FROZEN, and a busy call is repeated up to 16 times without a
 * kick. A fault then gives up; a zap cannot fail, and kills the VM. TDX series v8 to v19 and the
 * MMU series of 2024.
 *
 * What it breaks: a vCPU in the middle of an ACCEPT, or of VP.ENTER with zero-step mitigation
 * armed, can outlast all 16 attempts (B-48); TRACK is repeated without bound (B-49).
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

/** Repeats a busy call at once, up to 16 times; the caller handles `tolerated` of the last one. */
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

/** The frozen window, with a repeated call. */
const throughFrozenRetrying: Install = function* (vm, { place, to, fn, operands }) {
  if (!(yield* vm.mirror.cmpxchg(place.table, place.index, place.spte, FROZEN))) return false;
  const call = yield* retryBounded(vm, fn, operands, [OPERAND_BUSY]);
  yield* vm.mirror.write(place.table, place.index, succeeded(call) ? to : place.spte);
  return succeeded(call);
};

/** Repeats TRACK until it is not busy, then kicks. */
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

/** A zap by repeated calls. */
export const RETRYING_ON_BUSY: Zap = { call: retryBounded, track: trackSpinning };

export const retryN: Policy = {
  ...frozenMirror,
  name: 'retry-n',
  group: 'question',
  title: 'repeat a busy call up to 16 times; a zap that still fails kills the VM',
  proposed: 'TDX series v8 to v19 (2022 to 2024), MMU part 2 v1 and v2 (P3)',
  breaks: [
    {
      rule: 'S01',
      rare: true,
      why: 'a vCPU inside the module outlasts 16 attempts: OPERAND_BUSY where a zap cannot fail',
    },
  ],
  *fault(vm, vcpu, gfn) {
    return yield* retryLocally(vm, vcpu, () => faultUnder(vm, gfn, 'read', throughFrozenRetrying));
  },
  ...zappingBy((vm, place, at) => zapLeaf(vm, place, at, RETRYING_ON_BUSY)),
};

export default retryN;
