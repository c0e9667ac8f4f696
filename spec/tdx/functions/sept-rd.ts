/**
 * TDH.MEM.SEPT.RD: reads a Secure EPT entry.
 *
 * RCX GPA and level; RDX TDR and flags (bit 0 reads L2 attributes, of a debug TD only). Returns the
 * architectural view of the entry in RCX, and its state and level in RDX.
 *
 * Source: ABI Reference 348551, TDH.MEM.SEPT.RD leaf (leaf 25); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_sept_rd.c: tdh_mem_sept_rd();
 * docs/module-notes.md#reported-entries.
 */
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import {
  flagsOf,
  gfnOf,
  mappingOperand,
  tdGet,
  tdrOperand,
  tdStateLocked,
  withoutFlags,
} from '../operands.ts';
import { ENTRY_TO_TDR } from '../release.ts';
import { findEntry, reportEntry } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

const L2_ATTRIBUTES = 1;

export const septRd: InterfaceFunction = {
  name: 'TDH.MEM.SEPT.RD',
  release: ENTRY_TO_TDR,
  *run(tdx, call) {
    let status: S.Status;

    // GUARD
    // 1. flags; TDR, shared
    const flags = flagsOf(call.in.rdx);
    if (flags > tdx.version.tdrFlags) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    const tdr = withoutFlags(call.in.rdx);
    if ((status = yield* tdrOperand(tdx, call, tdr, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    if (flags === L2_ATTRIBUTES && tdGet(tdx, call, TD.DEBUG) === 0)
      return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 0, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK
    // 4. tree; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // EFFECT
    // 5. RCX, RDX := the entry
    reportEntry(tdx, call);
    return S.SUCCESS;
  },
};
