/**
 * TDH.VP.FLUSH: dissociates a vCPU from the calling LP, and flushes the LP's caches of it.
 *
 * RCX TDVPR, held exclusively, so that a vCPU in the guest is busy. Neither FATAL nor OP_STATE is
 * checked.
 *
 * Source: ABI Reference 348551, TDH.VP.FLUSH leaf (leaf 18); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_vp_flush.c: tdh_vp_flush(); docs/module-notes.md#life-cycle.
 */
import { HELD_TDR } from '../call.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import {
  implicitTdr,
  ownerOfTdvpr,
  tdCell,
  tdGet,
  tdvprOperand,
  vpCell,
  vpGet,
} from '../operands.ts';
import { TDVPR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { KEYS_CONFIGURED, TD, VP } from '../td.ts';
import { forgetLaunch, tdvpsAllocated } from '../vcpu.ts';

export const vpFlush: InterfaceFunction = {
  name: 'TDH.VP.FLUSH',
  release: [HELD_TDR, ...TDVPR_LAST],
  *run(tdx, call) {
    const { m } = tdx;
    const { rcx, lp } = call.in;
    let status: S.Status;

    // LOCK
    // 1. TDVPR, exclusive; TDR, shared
    if ((status = yield* tdvprOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD
    // 2. life cycle
    if (tdGet(tdx, call, TD.LIFECYCLE) !== KEYS_CONFIGURED) return S.TD_KEYS_NOT_CONFIGURED;
    // 3. vCPU pages; associated with this LP
    if ((status = tdvpsAllocated(tdx, call)) !== S.SUCCESS) return status;
    if (vpGet(tdx, call, VP.ASSOC_LPID) !== lp + 1) return S.VCPU_NOT_ASSOCIATED;

    // EFFECT
    // 4. flush; association
    for (const listener of tdx.listeners) listener.tlbFlushed?.(call.tdvpr);
    yield* forgetLaunch(tdx, call.tdvpr);
    yield* m.write(vpCell(tdx, call, VP.ASSOC_LPID), 0);
    yield* m.add(tdCell(tdx, call, TD.NUM_ASSOC_VCPUS), -1);
    return S.SUCCESS;
  },
};
