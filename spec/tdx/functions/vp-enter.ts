/**
 * TDH.VP.ENTER: enters the TD on a vCPU.
 *
 * RCX TDVPR and flags in bits 53:52. On success the vCPU is in the guest, and keeps the locks of
 * its TDVPR and of the TDR until the TD exit (guest/td-exit.ts). A call that is refused for
 * TD_EPOCH leaves the vCPU associated with the LP; one that is refused for SEPT_TREE has updated
 * VCPU_EPOCH, too. While zero-step mitigation lists a GPA that still faults, the answer is an EPT
 * violation without an entry. Source: module notes §3 and §7; epoch notes, rule 3;
 * `commit-order.jsonl`, `locks.json`.
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
import { lockTree } from '../sept.ts';
import * as S from '../status.ts';
import { faultingGpa, isArmed, rememberRip } from '../stepping.ts';
import { IN_RUNNABLE, refcountOf, TD, VCPU_ACTIVE, VCPU_READY, VP } from '../td.ts';
import { tdvpsAllocated } from '../vcpu.ts';

const FLAGS = 2 ** 52;
/**
 * HOST_RECOVERABILITY_HINT and RESUME_L1, of no use without trap-like exits and L2 VMs. What is
 * above is reserved.
 */
const ALL_FLAGS = 3;

export const vpEnter: InterfaceFunction = {
  name: 'TDH.VP.ENTER',
  release: [HELD_EPOCH, HELD_TREE, HELD_OP_STATE, HELD_TDR, ...TDVPR_LAST],
  *run(tdx, call) {
    const { m } = tdx;
    const { rcx, lp } = call.in;
    const invalid = S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
    let status: S.Status;

    // GUARD: flags
    const flags = Math.floor(rcx / FLAGS);
    if (rcx < 0 || flags > ALL_FLAGS) return invalid;

    // LOCK: the TDVPR and the TDR that owns it, both shared
    const tdvpr = rcx - flags * FLAGS;
    if ((status = yield* tdvprOperand(tdx, call, tdvpr, S.OPERANDS.RCX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD: TD state, the vCPU
    if ((status = yield* tdStateLocked(tdx, call, IN_RUNNABLE)) !== S.SUCCESS) return status;
    if ((status = tdvpsAllocated(tdx, call)) !== S.SUCCESS) return status;
    if ((yield* m.read(vpCell(tdx, call, VP.STATE))) !== VCPU_READY) return S.VCPU_STATE_INCORRECT;

    // EFFECT: association, which no later refusal undoes
    const place = vpCell(tdx, call, VP.ASSOC_LPID);
    const isNew = yield* m.cmpxchg(place, 0, lp + 1);
    if (isNew) yield* m.add(tdCell(tdx, call, TD.NUM_ASSOC_VCPUS), 1);
    else if (m.peek(place) !== lp + 1) return S.VCPU_ASSOCIATED;
    if (flags !== 0) return invalid;

    // LOCK: the epoch, against TRACK; EFFECT: the vCPU counts among those that entered in it
    const taken = yield* tdx.acquire(call, HELD_EPOCH, tdCell(tdx, call, TD.EPOCH_LOCK), SHARED);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.TD_EPOCH);
    const epoch = tdGet(tdx, call, TD.TD_EPOCH);
    yield* m.add(tdCell(tdx, call, refcountOf(epoch)), 1);
    yield* tdx.release(call, HELD_EPOCH);
    if (epoch !== vpGet(tdx, call, VP.VCPU_EPOCH)) {
      // an LP that is new to the vCPU holds none of its translations
      if (!isNew) for (const listener of tdx.listeners) listener.tlbFlushed?.(call.tdvpr);
      yield* m.write(vpCell(tdx, call, VP.VCPU_EPOCH), epoch);
    }

    // GUARD: zero-step mitigation; a refusal takes the vCPU back out of the epoch
    if ((status = yield* filterSteps(tdx, call)) !== S.SUCCESS) {
      yield* m.add(tdCell(tdx, call, refcountOf(epoch)), -1);
      return status;
    }

    // EFFECT: the vCPU runs, and keeps what it holds of TDVPR and TDR
    yield* tdx.release(call, HELD_OP_STATE);
    yield* tdx.release(call, HELD_TREE);
    yield* m.write(vpCell(tdx, call, VP.STATE), VCPU_ACTIVE);
    for (const held of [HELD_TDR, HELD_TDVPR, parent2M(HELD_TDVPR), parent1G(HELD_TDVPR)])
      call.drop(held);
    return S.SUCCESS;
  },
};

/**
 * With GPAs listed, takes the tree exclusively and walks to each of them. If one still faults,
 * answers with the EPT violation that it would cause; if none does, the tree stays locked until the
 * vCPU enters.
 */
function* filterSteps(tdx: TdxModule, call: Call): Steps<S.Status> {
  rememberRip(tdx, call.tdvpr);
  if (!isArmed(tdx, call.tdvpr)) return S.SUCCESS;
  const status = yield* lockTree(tdx, call);
  if (status !== S.SUCCESS) return status;
  const gpa = yield* faultingGpa(tdx, call);
  if (gpa < 0) return S.SUCCESS;
  yield* tdx.release(call, HELD_TREE);
  call.exitReason = EXIT_EPT_VIOLATION;
  call.rcx = WRITE_ACCESS;
  call.r8 = gpa;
  return S.VMEXIT_EPT_VIOLATION;
}
