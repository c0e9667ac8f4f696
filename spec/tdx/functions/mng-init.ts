/**
 * TDH.MNG.INIT: initialises the TD with TD_PARAMS.
 *
 * RCX TDR, held exclusively; RDX TD_PARAMS, in shared memory. RCX returns 0, or which CPUID leaf is
 * wrong. A refused call can be repeated. Source: life-cycle notes §2; the checks of TD_PARAMS are
 * in td-params.ts.
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

    // GUARD: the platform
    if (inject === 'bootNt4BitSet') return S.LIMIT_CPUID_MAXVAL_SET;

    // LOCK: the TDR, exclusively
    if ((status = yield* tdrOperand(tdx, call, rcx, S.OPERANDS.RCX, EXCLUSIVE)) !== S.SUCCESS)
      return status;

    // GUARD: TD state, then TD_PARAMS field by field
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_UNINITIALIZED)) !== S.SUCCESS) return status;
    if (tdParams === null || isBadSource(tdx, rdx, TD_PARAMS_BYTES))
      return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    const numTdcx = tdGet(tdx, call, TD.NUM_TDCX);
    status = checkTdParams(tdParams, {
      numTdcx,
      tscAdjustChanged: inject === 'tscAdjustMsrChanged',
    });
    if (status === S.on(S.OPERAND_INVALID, S.OPERANDS.CPUID_CONFIG))
      call.wide = { rcx: CPUID_CONFIG_LEAF };
    if (status !== S.SUCCESS) return status;

    // EFFECT: the fields, which nobody reads before OP_STATE says that they are there
    for (const [field, value] of fieldsOf(tdParams)) tdx.m.poke(tdCell(tdx, call, field), value);
    yield* tdx.m.write(tdCell(tdx, call, TD.OP_STATE), INITIALIZED);
    return S.SUCCESS;
  },
};
