/**
 * TDH.MR.EXTEND: extends the build-time measurement with 256 bytes of an added page.
 *
 * RCX GPA (256-byte aligned, no level); RDX TDR, held exclusively. The measurement itself is not
 * modelled.
 *
 * Source: ABI Reference 348551, TDH.MR.EXTEND leaf (leaf 16); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mr_extend.c: tdh_mr_extend().
 */
import { HELD_TREE } from '../call.ts';
import { MAPPED, stateOf } from '../entry.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { gfnOf, isBadGpa, opStateAmong, tdrOperand, tdState } from '../operands.ts';
import { TDR_LAST } from '../release.ts';
import { lockTree, walkToLeaf } from '../sept.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED } from '../td.ts';

const CHUNK_BYTES = 256;

export const mrExtend: InterfaceFunction = {
  name: 'TDH.MR.EXTEND',
  release: [HELD_TREE, ...TDR_LAST],
  *run(tdx, call) {
    const { rcx, rdx } = call.in;
    let status: S.Status;

    // LOCK
    // 1. TDR, exclusive
    if ((status = yield* tdrOperand(tdx, call, rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS)
      return status;

    // GUARD
    // 2. TD state and OP_STATE
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    // 3. GPA
    if (rcx < 0 || rcx % CHUNK_BYTES !== 0 || isBadGpa(tdx, call, rcx)) {
      return S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
    }

    // LOCK
    // 4. tree (version 1.0)
    if ((status = yield* lockTree(tdx, call)) !== S.SUCCESS) return status;

    // GUARD
    // 5. walk to a MAPPED leaf
    if ((status = yield* walkToLeaf(tdx, call, gfnOf(rcx))) !== S.SUCCESS) return status;
    if (stateOf(call.entry) !== MAPPED) return S.EPT_ENTRY_NOT_PRESENT;
    return S.SUCCESS;
  },
};
