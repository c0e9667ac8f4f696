/**
 * TDH.MNG.RD: reads a metadata field of the TD.
 *
 * RCX TDR; RDX the field's id. Returns the value in R8; version 1 also the id of the next field in
 * RDX, and the id of the first field for a null id. Source: life-cycle notes §2; the fields are in
 * metadata.ts.
 */
import { SHARED } from '../locks.ts';
import { FIRST_FIELD, METADATA, NULL_FIELD } from '../metadata.ts';
import type { InterfaceFunction } from '../module.ts';
import { tdCell, tdrOperand, tdStateLocked, versionUpTo1 } from '../operands.ts';
import { ENTRY_TO_TDR } from '../release.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN } from '../td.ts';

export const mngRd: InterfaceFunction = {
  name: 'TDH.MNG.RD',
  release: ENTRY_TO_TDR,
  *run(tdx, call) {
    const { rcx, field: id, version } = call.in;
    let status: S.Status;
    call.wide = { rdx: version === 0 ? id : NULL_FIELD };

    // GUARD: operands and TD state
    if ((status = versionUpTo1(call)) !== S.SUCCESS) return status;
    if ((status = yield* tdrOperand(tdx, call, rcx, S.OPERANDS.RCX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;

    // GUARD: the field
    if (version === 1 && id === NULL_FIELD) {
      call.wide = { rdx: FIRST_FIELD };
      return S.METADATA_FIRST_FIELD_ID_IN_CONTEXT;
    }
    const field = METADATA.get(id);
    if (field === undefined) return S.METADATA_FIELD_ID_INCORRECT;

    // EFFECT: none; the value is returned
    let value = BigInt.asUintN(32, BigInt(yield* tdx.m.read(tdCell(tdx, call, field.word))));
    if (field.isWide)
      value |= BigInt.asUintN(32, BigInt(tdx.m.peek(tdCell(tdx, call, field.word + 1)))) << 32n;
    call.wide = { rdx: version === 0 ? id : field.next, r8: value };
    return S.SUCCESS;
  },
};
