/** Reactions to OPERAND_BUSY, and calls that several policies make. */
import type { Steps } from '../../spec/machine/step.ts';
import { requestAllAndWait } from '../../spec/machine/vcpu.ts';
import type { Call, Operands } from '../../spec/tdx/call.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import type { InterfaceFunction } from '../../spec/tdx/module.ts';
import * as S from '../../spec/tdx/status.ts';
import { isStatus, type Vm } from '../vm/vm.ts';

/** KVM_REQ_OUTSIDE_GUEST_MODE only makes a vCPU leave the guest: it sets no request bit. */
const OUTSIDE = 0;

/** The statuses of a call that finds its entry in another state: of module 1.5, and of 1.0. */
export const OTHER_STATE: readonly S.Status[] = [
  S.EPT_ENTRY_STATE_INCORRECT,
  S.EPT_ENTRY_NOT_FREE,
  S.EPT_ENTRY_FREE,
];

/** Makes every vCPU leave the guest, and waits until each has. */
export function* kickAll(vm: Vm): Steps<void> {
  yield* requestAllAndWait(
    vm.vcpus.map((v) => v.kvm),
    OUTSIDE,
  );
}

/**
 * Kick on BUSY (K56): calls the module; if it is busy, bars vCPUs from entering, makes them all
 * leave, and calls once more. With mmu_lock held for write no other actor then calls the module
 * about this TD, so that the second call succeeds.
 */
export function* withoutVcpus(
  vm: Vm,
  fn: InterfaceFunction,
  operands: Partial<Operands>,
  tolerated: readonly S.Status[] = [],
): Steps<Call> {
  const first = yield* vm.seamcall(fn, operands, [S.OPERAND_BUSY, ...tolerated]);
  if (!isStatus(first, S.OPERAND_BUSY)) return first;
  yield* vm.m.write(vm.noEntry, 1);
  yield* kickAll(vm);
  const second = yield* vm.seamcall(fn, operands, tolerated);
  yield* vm.m.write(vm.noEntry, 0);
  return second;
}

/** Advances the epoch by TRACK and kicks every vCPU out of the previous one (K54, K55). */
export function* track(vm: Vm): Steps<void> {
  yield* withoutVcpus(vm, memTrack, { rcx: vm.address(vm.tdr) });
  yield* kickAll(vm);
}
