/**
 * TDH.MR.FINALIZE: closes the build-time measurement; the TD can run from here on.
 *
 * RCX TDR, held exclusively.
 *
 * Source: ABI Reference 348551, TDH.MR.FINALIZE leaf (leaf 17); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mr_finalize.c: tdh_mr_finalize().
 */
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { opStateAmong, tdCell, tdGet, tdrOperand, tdState } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED, RUNNABLE, TD } from '../td.ts';

export const mrFinalize: InterfaceFunction = {
  name: 'TDH.MR.FINALIZE',
  release: TDR_LAST,
  *run(tdx, call) {
    let status: S.Status;

    // LOCK
    // 1. TDR, exclusive
    if (
      (status = yield* tdrOperand(tdx, call, call.in.rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS
    )
      return status;

    // GUARD
    // 2. TD state and OP_STATE
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    // 3. an initialised vCPU (version 1.5)
    if (tdx.version.finalizeNeedsVcpu && tdGet(tdx, call, TD.NUM_VCPUS) === 0) return S.NO_VCPUS;

    // EFFECT
    // 4. measurement, whose values are not modelled
    for (let i = tdx.version.measurementWrites - 1; i >= 0; i--)
      yield* tdx.m.write(tdCell(tdx, call, TD.MEASUREMENT + i), 1);
    // 5. OP_STATE
    yield* tdx.m.write(tdCell(tdx, call, TD.OP_STATE), RUNNABLE);
    return S.SUCCESS;
  },
};
