/**
 * TDH.VP.ENTER: enters the TD on a vCPU.
 *
 * RCX TDVPR and flags in bits 53:52. On success the vCPU is in the guest, and keeps the locks of
 * its TDVPR and of the TDR until the TD exit (guest/td-exit.ts). A call that is refused for
 * TD_EPOCH leaves the vCPU associated with the LP; one that is refused for SEPT_TREE has updated
 * VCPU_EPOCH as well. While zero-step mitigation lists a GPA that still faults, the call returns an
 * EPT violation without an entry. A guest's state that cannot be restored, which the platform can
 * inject (XRSTORS or WRMSR faults), ends in a TD exit, and usually in a fatal TD.
 *
 * Source: ABI Reference 348551, TDH.VP.ENTER leaf (leaf 0); intel/tdx-module 1.5.01,
 * src/td_transitions/tdh_vp_enter.c: tdh_vp_enter(), handle_stepping_filter(),
 * guest_ext_state_load_failure(), of 1.5.05 as well; src/td_transitions/td_exit.c;
 * src/common/helpers/helpers.c: check_and_associate_vcpu(), adjust_tlb_tracking_state();
 * docs/module-notes.md#tlb-tracking, docs/module-notes.md#refused-calls.
 */
import type { Steps } from '../../machine/step.ts';
import {
  HELD_EPOCH,
  HELD_OP_STATE,
  HELD_TDR,
  HELD_TDVPR,
  HELD_TREE,
  parent1G,
  parent2M,
  type Call,
} from '../call.ts';
import { EXIT_EPT_VIOLATION, WRITE_ACCESS } from '../guest/violation.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import {
  implicitTdr,
  ownerOfTdvpr,
  tdCell,
  tdGet,
  tdStateLocked,
  tdvprOperand,
  vpCell,
  vpGet,
} from '../operands.ts';
import { TDVPR_LAST } from '../release.ts';
import { lockTree, pathStatus } from '../sept.ts';
import * as S from '../status.ts';
import { faultingGpa, isArmed, rememberRip } from '../stepping.ts';
import { IN_RUNNABLE, refcountOf, TD, VCPU_ACTIVE, VCPU_READY, VP } from '../td.ts';
import { recordLaunch, tdvpsAllocated } from '../vcpu.ts';

/** HOST_RECOVERABILITY_HINT and RESUME_L1, both invalid without trap-like exits and L2 VMs. */
const FLAGS = 2 ** 52;

export const vpEnter: InterfaceFunction = {
  name: 'TDH.VP.ENTER',
  release: [HELD_EPOCH, HELD_TREE, HELD_OP_STATE, HELD_TDR, ...TDVPR_LAST],
  *run(tdx, call) {
    const { m } = tdx;
    const { rcx, lp, inject } = call.in;
    const { enterFlags, limitedCpuid } = tdx.version;
    const invalid = S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
    let status: S.Status;

    // GUARD
    // 1. platform: CPUID is not limited; flags
    if (inject === 'bootNt4BitSet') return limitedCpuid;
    const flags = Math.floor(rcx / FLAGS);
    if (rcx < 0 || flags > enterFlags) return invalid;

    // LOCK
    // 2. TDVPR, shared; TDR, shared
    const tdvpr = rcx - flags * FLAGS;
    if ((status = yield* tdvprOperand(tdx, call, tdvpr, S.OPERANDS.RCX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD
    // 3. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_RUNNABLE)) !== S.SUCCESS) return status;
    // 4. vCPU pages and state
    if ((status = tdvpsAllocated(tdx, call)) !== S.SUCCESS) return status;
    if ((yield* m.read(vpCell(tdx, call, VP.STATE))) !== VCPU_READY) return S.VCPU_STATE_INCORRECT;

    // EFFECT
    // 5. association, which no later refusal undoes
    const association = vpCell(tdx, call, VP.ASSOC_LPID);
    const isNew = yield* m.cmpxchg(association, 0, lp + 1);
    if (isNew) yield* m.add(tdCell(tdx, call, TD.NUM_ASSOC_VCPUS), 1);
    else if (m.peek(association) !== lp + 1) return S.VCPU_ASSOCIATED;
    if (flags !== 0) return invalid;
    // 6. IA32_TSC_ADJUST
    if (inject === 'tscAdjustMsrChanged')
      return S.on(S.INCONSISTENT_MSR, S.OPERANDS.IA32_TSC_ADJUST);

    // LOCK
    // 7. epoch, shared, against TRACK
    const taken = yield* tdx.acquire(call, HELD_EPOCH, tdCell(tdx, call, TD.EPOCH_LOCK), SHARED);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.TD_EPOCH);

    // EFFECT
    // 8. REFCOUNT of the epoch + 1; epoch released
    const epoch = tdGet(tdx, call, TD.TD_EPOCH);
    yield* m.add(tdCell(tdx, call, refcountOf(epoch)), 1);
    yield* tdx.release(call, HELD_EPOCH);
    // 9. in a new epoch a flush, unless the LP is new to the vCPU
    if (epoch !== vpGet(tdx, call, VP.VCPU_EPOCH)) {
      if (!isNew) for (const listener of tdx.listeners) listener.tlbFlushed?.(call.tdvpr);
      yield* m.write(vpCell(tdx, call, VP.VCPU_EPOCH), epoch);
    }

    // GUARD
    // 10. zero-step mitigation; a refusal undoes step 8
    if ((status = yield* filterSteps(tdx, call)) !== S.SUCCESS) {
      yield* m.add(tdCell(tdx, call, refcountOf(epoch)), -1);
      return status;
    }

    // EFFECT
    // 11. vCPU: ACTIVE
    return yield* enterGuest(tdx, call);
  },
};

/**
 * Makes the vCPU ACTIVE, in 1.0 and 1.5.01 before an armed filter releases the tree. It keeps its
 * TDVPR and TDR locked. In 1.5.05 the guest's state is restored before that, in the others after.
 */
function* enterGuest(tdx: TdxModule, call: Call): Steps<S.Status> {
  const { m } = tdx;
  const { activeBeforeTreeRelease, restoreFault } = tdx.version;
  const faults = call.in.inject === 'guestStateFaults';
  yield* tdx.release(call, HELD_OP_STATE);
  const early = activeBeforeTreeRelease && call.holds(HELD_TREE);
  if (early) yield* m.write(vpCell(tdx, call, VP.STATE), VCPU_ACTIVE);
  yield* tdx.release(call, HELD_TREE);
  if (faults && restoreFault === 'fatal') return yield* deadExit(tdx, call);
  if (!early) yield* m.write(vpCell(tdx, call, VP.STATE), VCPU_ACTIVE);
  if (faults) return restoreFault === 'halt' ? S.MODULE_HALT : yield* faultedExit(tdx, call);
  yield* recordLaunch(tdx, call.tdvpr);
  for (const held of [HELD_TDR, HELD_TDVPR, parent2M(HELD_TDVPR), parent1G(HELD_TDVPR)])
    call.drop(held);
  return S.SUCCESS;
}

/** VMX exit reason "VM entry failed because of the guest's state", and its extended type. */
const EXIT_GUEST_STATE = 33;
const STATE_LOAD_FAILURE = 4;

function reportFault(call: Call): void {
  call.exitReason = EXIT_GUEST_STATE;
  call.rdx = STATE_LOAD_FAILURE;
}

/** The exit of a dead TD touches nothing of the TD but its TDR. */
function* deadExit(tdx: TdxModule, call: Call): Steps<S.Status> {
  reportFault(call);
  yield* tdx.m.write(tdCell(tdx, call, TD.FATAL), 1);
  return S.NON_RECOVERABLE_TD_NON_ACCESSIBLE;
}

/** The exit of 1.5.01, which saves the vCPU's state and counts it out. */
function* faultedExit(tdx: TdxModule, call: Call): Steps<S.Status> {
  const { m } = tdx;
  const isFatal = tdGet(tdx, call, TD.DEBUG) === 0;
  reportFault(call);
  if (isFatal) yield* m.write(tdCell(tdx, call, TD.FATAL), 1);
  yield* m.write(vpCell(tdx, call, VP.STATE), isFatal ? VCPU_ACTIVE : VCPU_READY);
  yield* m.add(tdCell(tdx, call, refcountOf(vpGet(tdx, call, VP.VCPU_EPOCH))), -1);
  return isFatal ? S.NON_RECOVERABLE_TD : S.SUCCESS;
}

/**
 * If GPAs are listed, takes the tree exclusively and walks to each of them. If one still faults,
 * returns the EPT violation that it would cause; if none does, the tree stays locked until the vCPU
 * enters.
 */
function* filterSteps(tdx: TdxModule, call: Call): Steps<S.Status> {
  rememberRip(tdx, call.tdvpr);
  if (!isArmed(tdx, call.tdvpr)) return S.SUCCESS;
  const status = yield* lockTree(tdx, call);
  if (status !== S.SUCCESS) return status;
  const gpa = yield* faultingGpa(tdx, call);
  if (gpa < 0) return pathStatus(call);
  yield* tdx.release(call, HELD_TREE);
  call.exitReason = EXIT_EPT_VIOLATION;
  call.rcx = WRITE_ACCESS;
  call.r8 = gpa;
  return S.VMEXIT_EPT_VIOLATION;
}
