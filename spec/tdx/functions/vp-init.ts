/**
 * TDH.VP.INIT: initialises a vCPU, which is associated with the calling LP from here on.
 *
 * RCX TDVPR, held exclusively; RDX the guest's initial RCX. A call that is refused for
 * IA32_TSC_ADJUST leaves NUM_VCPUS incremented. Source: life-cycle notes §2;
 * `lifecycle-locks.json`.
 */
import { HELD_OP_STATE, HELD_TDR } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
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
import * as S from '../status.ts';
import { IN_INITIALIZED, TD, VCPU_READY, VCPU_UNINITIALIZED, VP } from '../td.ts';
import { tdvpsAllocated } from '../vcpu.ts';

export const vpInit: InterfaceFunction = {
  name: 'TDH.VP.INIT',
  release: [HELD_OP_STATE, HELD_TDR, ...TDVPR_LAST],
  *run(tdx, call) {
    const { m } = tdx;
    const { rcx, lp, inject } = call.in;
    let status: S.Status;

    // LOCK: the TDVPR, exclusively, and the TDR that owns it
    if ((status = yield* tdvprOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD: TD state, the vCPU
    if ((status = yield* tdStateLocked(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    if ((status = tdvpsAllocated(tdx, call)) !== S.SUCCESS) return status;
    if (vpGet(tdx, call, VP.STATE) !== VCPU_UNINITIALIZED) return S.VCPU_STATE_INCORRECT;

    // GUARD: an index, taken before it is known to be one, and given back if it is not
    const count = tdCell(tdx, call, TD.NUM_VCPUS);
    const index = (yield* m.add(count, 1)) - 1;
    if (index >= tdGet(tdx, call, TD.MAX_VCPUS)) {
      yield* m.add(count, -1);
      return S.MAX_VCPUS_EXCEEDED;
    }
    yield* m.write(vpCell(tdx, call, VP.VCPU_INDEX), index);

    // GUARD: the platform; the index stays taken
    if (inject === 'tscAdjustMsrChanged')
      return S.on(S.INCONSISTENT_MSR, S.OPERANDS.IA32_TSC_ADJUST);

    // EFFECT: state and association
    yield* m.write(vpCell(tdx, call, VP.STATE), VCPU_READY);
    yield* m.write(vpCell(tdx, call, VP.ASSOC_LPID), lp + 1);
    yield* m.add(tdCell(tdx, call, TD.NUM_ASSOC_VCPUS), 1);
    return S.SUCCESS;
  },
};
