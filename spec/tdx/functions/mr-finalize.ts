/**
 * TDH.MR.FINALIZE: closes the build-time measurement; the TD can run from here on.
 *
 * RCX TDR, held exclusively. Source: module notes §3; `commit-order.jsonl`.
 */
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { opStateAmong, tdCell, tdGet, tdrOperand, tdState } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED, RUNNABLE, TD } from '../td.ts';

/** The measurement is closed in three writes; what they hold is not modelled. */
const MEASUREMENT_WORDS = 3;

export const mrFinalize: InterfaceFunction = {
  name: 'TDH.MR.FINALIZE',
  release: TDR_LAST,
  *run(tdx, call) {
    let status: S.Status;

    // LOCK: the TDR, exclusively
    if (
      (status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS
    )
      return status;

    // GUARD: TD state
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    if (tdGet(tdx, call, TD.NUM_VCPUS) === 0) return S.NO_VCPUS;

    // EFFECT: the measurement, then OP_STATE
    for (let i = MEASUREMENT_WORDS - 1; i >= 0; i--)
      yield* tdx.m.write(tdCell(tdx, call, TD.MEASUREMENT + i), 1);
    yield* tdx.m.write(tdCell(tdx, call, TD.OP_STATE), RUNNABLE);
    return S.SUCCESS;
  },
};
