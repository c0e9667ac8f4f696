/**
 * TDH.MEM.TRACK: advances TD_EPOCH, once every vCPU that entered in the previous epoch has left.
 *
 * RCX TDR.
 *
 * Source: ABI Reference 348551, TDH.MEM.TRACK leaf (leaf 38); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_track.c: tdh_mem_track(), and of 1.5.05;
 * docs/module-notes.md#tlb-tracking.
 */
import { HELD_EPOCH, HELD_OP_STATE } from '../call.ts';
import { isBefore, LAST_EPOCH, nextEpoch } from '../epoch.ts';
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

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;

    // LOCK
    // 3. epoch, exclusive, against vCPUs that are entering
    const taken = yield* tdx.acquire(call, HELD_EPOCH, tdCell(tdx, call, TD.EPOCH_LOCK), EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.TD_EPOCH);

    // GUARD
    // 4. REFCOUNT of the previous epoch is 0
    const epoch = yield* tdx.m.read(tdCell(tdx, call, TD.TD_EPOCH));
    if (tdGet(tdx, call, refcountOf(epoch - 1)) !== 0) return S.PREVIOUS_TLB_EPOCH_BUSY;

    // EFFECT
    // 5. TD_EPOCH + 1; the empty REFCOUNT is now the current one. From 1.5.05 on the last epoch
    // halts the module
    const next = nextEpoch(epoch);
    yield* tdx.m.write(tdCell(tdx, call, TD.TD_EPOCH), next);
    const isLast = !isBefore(next, LAST_EPOCH);
    return tdx.version.haltsAtLastEpoch && isLast ? S.MODULE_HALT : S.SUCCESS;
  },
};
