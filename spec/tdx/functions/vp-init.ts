/**
 * TDH.VP.INIT: initialises a vCPU, which is associated with the calling LP from here on.
 *
 * RCX TDVPR, held exclusively; RDX the guest's initial RCX. A call that is refused for
 * IA32_TSC_ADJUST leaves NUM_VCPUS incremented.
 *
 * Source: ABI Reference 348551, TDH.VP.INIT leaf (leaf 22); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_vp_init.c: tdh_vp_init(); docs/module-notes.md#refused-calls.
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

    // LOCK
    // 1. TDVPR, exclusive; TDR, shared
    if ((status = yield* tdvprOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    // 3. vCPU pages and state
    if ((status = tdvpsAllocated(tdx, call)) !== S.SUCCESS) return status;
    if (vpGet(tdx, call, VP.STATE) !== VCPU_UNINITIALIZED) return S.VCPU_STATE_INCORRECT;

    // 4. index: NUM_VCPUS + 1, then the check, which undoes it
    const count = tdCell(tdx, call, TD.NUM_VCPUS);
    const index = (yield* m.add(count, 1)) - 1;
    if (index >= tdGet(tdx, call, TD.MAX_VCPUS)) {
      yield* m.add(count, -1);
      return S.MAX_VCPUS_EXCEEDED;
    }
    yield* m.write(vpCell(tdx, call, VP.VCPU_INDEX), index);

    // 5. IA32_TSC_ADJUST; a refusal does not undo step 4
    if (inject === 'tscAdjustMsrChanged')
      return S.on(S.INCONSISTENT_MSR, S.OPERANDS.IA32_TSC_ADJUST);

    // EFFECT
    // 6. vCPU: READY; association
    yield* m.write(vpCell(tdx, call, VP.STATE), VCPU_READY);
    yield* m.write(vpCell(tdx, call, VP.ASSOC_LPID), lp + 1);
    yield* m.add(tdCell(tdx, call, TD.NUM_ASSOC_VCPUS), 1);
    return S.SUCCESS;
  },
};
