/**
 * TDH.VP.INIT: initialises a vCPU, which is associated with the calling LP from here on.
 *
 * RCX TDVPR, held exclusively; RDX the guest's initial RCX. From version 1 on (module 1.5.05), R8
 * is the vCPU's x2APIC id, and the TDR is held exclusively. A call that is refused for
 * IA32_TSC_ADJUST, or for an id that is in use, leaves NUM_VCPUS incremented; the former keeps its
 * id in use as well.
 *
 * Source: ABI Reference 348551, TDH.VP.INIT leaf (leaf 22); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_vp_init.c: tdh_vp_init(); version 1: the same function of
 * 1.5.05; docs/module-notes.md#refused-calls.
 */
import type { Steps } from '../../machine/step.ts';
import { HELD_OP_STATE, HELD_TDR, type Call } from '../call.ts';
import { EXCLUSIVE, SHARED } from '../locks.ts';
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
import * as S from '../status.ts';
import { IN_INITIALIZED, TD, VCPU_READY, VCPU_UNINITIALIZED, VP } from '../td.ts';
import { recordExit, recordHkid, tdvpsAllocated } from '../vcpu.ts';

export const vpInit: InterfaceFunction = {
  name: 'TDH.VP.INIT',
  release: [HELD_OP_STATE, HELD_TDR, ...TDVPR_LAST],
  *run(tdx, call) {
    const { m } = tdx;
    const { rcx, lp, inject, version } = call.in;
    let status: S.Status;

    // GUARD
    // 1. version
    if (version > tdx.version.vpInitVersion) return S.on(S.OPERAND_INVALID, S.OPERANDS.RAX);
    const hasId = version > 0;

    // LOCK
    // 2. TDVPR, exclusive; TDR, shared, or exclusive from version 1 on
    if ((status = yield* tdvprOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS)
      return status;
    const owner = ownerOfTdvpr(tdx, call.tdvpr);
    if ((status = yield* implicitTdr(tdx, call, owner, hasId ? EXCLUSIVE : SHARED)) !== S.SUCCESS)
      return status;

    // GUARD
    // 3. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    // 4. vCPU pages and state
    if ((status = tdvpsAllocated(tdx, call)) !== S.SUCCESS) return status;
    if (vpGet(tdx, call, VP.STATE) !== VCPU_UNINITIALIZED) return S.VCPU_STATE_INCORRECT;

    // 5. index: NUM_VCPUS + 1, then the check, which undoes it
    const count = tdCell(tdx, call, TD.NUM_VCPUS);
    const index = (yield* m.add(count, 1)) - 1;
    if (index >= tdGet(tdx, call, TD.MAX_VCPUS)) {
      yield* m.add(count, -1);
      return S.MAX_VCPUS_EXCEEDED;
    }
    yield* m.write(vpCell(tdx, call, VP.VCPU_INDEX), index);

    // 6. x2APIC id: 32 bits wide, and unique; only the first refusal undoes step 5
    if (hasId && (status = yield* registerId(tdx, call, index)) !== S.SUCCESS) return status;

    // 7. IA32_TSC_ADJUST; a refusal undoes neither step
    if (inject === 'tscAdjustMsrChanged')
      return S.on(S.INCONSISTENT_MSR, S.OPERANDS.IA32_TSC_ADJUST);

    // EFFECT
    // 8. vCPU: READY; association
    yield* recordExit(tdx, call.tdvpr);
    yield* m.write(vpCell(tdx, call, VP.STATE), VCPU_READY);
    yield* m.write(vpCell(tdx, call, VP.ASSOC_LPID), lp + 1);
    yield* recordHkid(tdx, call);
    yield* m.add(tdCell(tdx, call, TD.NUM_ASSOC_VCPUS), 1);
    return S.SUCCESS;
  },
};

const ID_LIMIT = 2 ** 32;

/** Gives the vCPU of `index` the x2APIC id in R8, unless a vCPU before it has that id. */
function* registerId(tdx: TdxModule, call: Call, index: number): Steps<S.Status> {
  const id = call.in.r8;
  if (id < 0 || id >= ID_LIMIT) {
    yield* tdx.m.add(tdCell(tdx, call, TD.NUM_VCPUS), -1);
    return S.on(S.OPERAND_INVALID, S.OPERANDS.R8);
  }
  for (let i = 0; i < index; i++) {
    if (tdGet(tdx, call, TD.X2APIC_IDS + i) >>> 0 !== id) continue;
    call.wideOperand = id;
    return S.X2APIC_ID_NOT_UNIQUE;
  }
  yield* tdx.m.write(tdCell(tdx, call, TD.X2APIC_IDS + index), id | 0);
  return S.SUCCESS;
}
