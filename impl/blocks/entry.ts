/**
 * Entering a TD: in IN_GUEST_MODE the vCPU checks whether entries are barred (wait_for_sept_zap)
 * before it calls the module. So a zapper that bars them and then kicks either stops the vCPU here
 * or finds it in the guest (K57).
 */
import { EXIT_WRITE } from '../../spec/kvm/vcpu-exit.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { vpEnter } from '../../spec/tdx/functions/vp-enter.ts';
import * as S from '../../spec/tdx/status.ts';
import { VCPU_ACTIVE, VP } from '../../spec/tdx/td.ts';
import { isStatus, succeeded, type Vm, type VmVcpu } from '../vm/vm.ts';

/** The vCPU is inside the TD. */
export const isInside = (vm: Vm, vcpu: VmVcpu): boolean =>
  vm.m.peek(vm.memory.word(vcpu.tdvpr, VP.STATE)) === VCPU_ACTIVE;

/** Attempts once to enter; false: the vCPU is outside, and its exit, if any, needs handling. */
export function* enterOnce(vm: Vm, vcpu: VmVcpu): Steps<boolean> {
  yield* vcpu.kvm.enter();
  const barred = yield* vm.m.read(vm.noEntry);
  vcpu.exit.clear(); // the last exit is handled, even if this attempt has none
  if (barred === 0 && (yield* callEnter(vm, vcpu))) return true;
  yield* vcpu.kvm.leave();
  return false;
}

/** TDH.VP.ENTER; true when the vCPU is inside. BUSY is not an error: the vCPU retries (K59). */
export function* callEnter(vm: Vm, vcpu: VmVcpu): Steps<boolean> {
  const call = yield* vm.seamcall(
    vpEnter,
    { rcx: vm.address(vcpu.tdvpr), lp: vcpu.index },
    ENTRY_TOLERATES,
  );
  if (isStatus(call, S.VMEXIT_EPT_VIOLATION))
    vcpu.exit.violation(Math.floor(call.r8 / PAGE_BYTES), EXIT_WRITE);
  return succeeded(call);
}

/** Statuses that the entry handles; an emulated EPT violation is handled like any other. */
const ENTRY_TOLERATES = [S.OPERAND_BUSY, S.VMEXIT_EPT_VIOLATION];
