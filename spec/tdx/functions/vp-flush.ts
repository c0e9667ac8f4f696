/**
 * TDH.VP.FLUSH: dissociates a vCPU from the calling LP, whose caches of it are flushed.
 *
 * RCX TDVPR, held exclusively, so that a running vCPU is busy. Neither FATAL nor OP_STATE is looked
 * at. Source: life-cycle notes §2; `commit-order.jsonl`.
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
import { tdvpsAllocated } from '../vcpu.ts';

export const vpFlush: InterfaceFunction = {
  name: 'TDH.VP.FLUSH',
  release: [HELD_TDR, ...TDVPR_LAST],
  *run(tdx, call) {
    const { m } = tdx;
    const { rcx, lp } = call.in;
    let status: S.Status;

    // LOCK: the TDVPR, exclusively, and the TDR that owns it
    if ((status = yield* tdvprOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS)
      return status;
    if ((status = yield* implicitTdr(tdx, call, ownerOfTdvpr(tdx, call.tdvpr))) !== S.SUCCESS)
      return status;

    // GUARD: life cycle, the vCPU
    if (tdGet(tdx, call, TD.LIFECYCLE) !== KEYS_CONFIGURED) return S.TD_KEYS_NOT_CONFIGURED;
    if ((status = tdvpsAllocated(tdx, call)) !== S.SUCCESS) return status;
    if (vpGet(tdx, call, VP.ASSOC_LPID) !== lp + 1) return S.VCPU_NOT_ASSOCIATED;

    // EFFECT: the LP forgets the vCPU
    for (const listener of tdx.listeners) listener.tlbFlushed?.(call.tdvpr);
    yield* m.write(vpCell(tdx, call, VP.ASSOC_LPID), 0);
    yield* m.add(tdCell(tdx, call, TD.NUM_ASSOC_VCPUS), -1);
    return S.SUCCESS;
  },
};
