/**
 * KVM's side of entering a TD: in IN_GUEST_MODE the vCPU looks whether entries are barred
 * (wait_for_sept_zap) before it calls the module. So whoever bars them and then kicks is either
 * seen here or sees the vCPU (K57).
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

/** One attempt to enter; false: the vCPU is outside, and its exit, if it had one, is to be handled. */
export function* enterOnce(vm: Vm, vcpu: VmVcpu): Steps<boolean> {
  yield* vcpu.kvm.enter();
  const barred = yield* vm.m.read(vm.noEntry);
  vcpu.exit.clear(); // the last one is done with, whether there will be another or not
  if (barred === 0 && (yield* callEnter(vm, vcpu))) return true;
  yield* vcpu.kvm.leave();
  return false;
}

/** TDH.VP.ENTER, and what became of it. BUSY is no error, but a reason to come again (K59). */
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

/** An emulated EPT violation is one like any other. */
const ENTRY_TOLERATES = [S.OPERAND_BUSY, S.VMEXIT_EPT_VIOLATION];
