/**
 * TDH.MEM.TRACK: advances TD_EPOCH, once every vCPU that entered in the previous epoch has left.
 *
 * RCX TDR. Source: module notes §3; epoch notes, rule 2.
 */
import { HELD_EPOCH, HELD_OP_STATE } from '../call.ts';
import { EXCLUSIVE, SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { tdCell, tdGet, tdrOperand, tdStateLocked } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, refcountOf, TD } from '../td.ts';

export const memTrack: InterfaceFunction = {
  name: 'TDH.MEM.TRACK',
  release: [HELD_EPOCH, HELD_OP_STATE, ...TDR_LAST],
  *run(tdx, call) {
    let status: S.Status;

    // GUARD: operands and TD state
    if ((status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;

    // LOCK: the epoch, against vCPUs that are entering
    const taken = yield* tdx.acquire(call, HELD_EPOCH, tdCell(tdx, call, TD.EPOCH_LOCK), EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.TD_EPOCH);

    // GUARD: the previous epoch has drained
    const epoch = yield* tdx.m.read(tdCell(tdx, call, TD.TD_EPOCH));
    if (tdGet(tdx, call, refcountOf(epoch - 1)) !== 0) return S.PREVIOUS_TLB_EPOCH_BUSY;

    // EFFECT: the emptied counter becomes the current one
    yield* tdx.m.write(tdCell(tdx, call, TD.TD_EPOCH), epoch + 1);
    return S.SUCCESS;
  },
};
