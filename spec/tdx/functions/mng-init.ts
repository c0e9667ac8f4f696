/**
 * TDH.MNG.INIT: initialises the TD with TD_PARAMS.
 *
 * RCX TDR, held exclusively; RDX TD_PARAMS, in shared memory. RCX returns 0, or the CPUID leaf that
 * is wrong. A refused call can be repeated. td-params.ts has the checks of TD_PARAMS.
 *
 * Source: ABI Reference 348551, TDH.MNG.INIT leaf (leaf 21); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_init.c: tdh_mng_init(); docs/module-notes.md#life-cycle.
 */
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { isBadSource, opStateAmong, tdCell, tdGet, tdrOperand, tdState } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import * as S from '../status.ts';
import { checkTdParams, CPUID_CONFIG_LEAF, fieldsOf } from '../td-params.ts';
import { IN_UNINITIALIZED, INITIALIZED, TD } from '../td.ts';

const TD_PARAMS_BYTES = 1024;

export const mngInit: InterfaceFunction = {
  name: 'TDH.MNG.INIT',
  release: TDR_LAST,
  *run(tdx, call) {
    const { rcx, rdx, inject, tdParams } = call.in;
    let status: S.Status;

    // GUARD
    // 1. platform: CPUID is not limited
    if (inject === 'bootNt4BitSet') return tdx.version.limitedCpuid;

    // LOCK
    // 2. TDR, exclusive
    if ((status = yield* tdrOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS)
      return status;

    // GUARD
    // 3. TD state and OP_STATE
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_UNINITIALIZED)) !== S.SUCCESS) return status;
    const numTdcx = tdGet(tdx, call, TD.NUM_TDCX);
    if (numTdcx < tdx.version.tdcx.min) return S.TDCX_NUM_INCORRECT;
    // 4. TD_PARAMS: address
    if (tdParams === null || isBadSource(tdx, rdx, TD_PARAMS_BYTES))
      return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    // 5. TD_PARAMS, field by field
    status = checkTdParams(tdParams, {
      version: tdx.version,
      numTdcx,
      tscAdjustChanged: inject === 'tscAdjustMsrChanged',
    });
    if (status === S.on(S.OPERAND_INVALID, S.OPERANDS.CPUID_CONFIG))
      call.wide = { rcx: CPUID_CONFIG_LEAF };
    if (status !== S.SUCCESS) return status;

    // EFFECT
    // 6. fields, which no call reads before OP_STATE is INITIALIZED
    for (const [field, value] of fieldsOf(tdParams)) tdx.m.poke(tdCell(tdx, call, field), value);
    // 7. OP_STATE
    yield* tdx.m.write(tdCell(tdx, call, TD.OP_STATE), INITIALIZED);
    return S.SUCCESS;
  },
};
