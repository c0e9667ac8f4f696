/**
 * TDH.MNG.RD: reads a metadata field of the TD.
 *
 * RCX TDR; RDX the field's id. Returns the value in R8; version 1 also returns the id of the next
 * field in RDX, and the id of the first field for a null id. metadata.ts has the fields.
 *
 * Source: ABI Reference 348551, TDH.MNG.RD leaf (leaf 11); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mng_rd_wr.c: tdh_mng_rd().
 */
import { epochOfWord } from '../epoch.ts';
import { SHARED } from '../locks.ts';
import { FIRST_FIELD, METADATA, NULL_FIELD } from '../metadata.ts';
import type { InterfaceFunction } from '../module.ts';
import { tdCell, tdrOperand, tdStateLocked, versionUpTo1 } from '../operands.ts';
import { ENTRY_TO_TDR } from '../release.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

export const mngRd: InterfaceFunction = {
  name: 'TDH.MNG.RD',
  release: ENTRY_TO_TDR,
  *run(tdx, call) {
    const { rcx, field: id, version } = call.in;
    let status: S.Status;
    call.wide = { rdx: version === 0 ? id : NULL_FIELD };

    // GUARD
    // 1. version
    if ((status = versionUpTo1(call)) !== S.SUCCESS) return status;
    // 2. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, rcx, S.OPERANDS.RCX, SHARED)) !== S.SUCCESS)
      return status;
    // 3. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;

    // 4. field
    if (version === 1 && id === NULL_FIELD) {
      call.wide = { rdx: FIRST_FIELD };
      return S.METADATA_FIRST_FIELD_ID_IN_CONTEXT;
    }
    const field = METADATA.get(id);
    if (field === undefined) return S.METADATA_FIELD_ID_INCORRECT;

    // EFFECT
    // 5. R8 := the value
    const word = yield* tdx.m.read(tdCell(tdx, call, field.word));
    let value = field.word === TD.TD_EPOCH ? epochOfWord(word) : BigInt(word >>> 0);
    if (field.isWide)
      value |= BigInt.asUintN(32, BigInt(tdx.m.peek(tdCell(tdx, call, field.word + 1)))) << 32n;
    call.wide = { rdx: version === 0 ? id : field.next, r8: value };
    return S.SUCCESS;
  },
};
