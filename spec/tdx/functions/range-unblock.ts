/**
 * TDH.MEM.RANGE.UNBLOCK: undoes RANGE.BLOCK, once every vCPU has left the epoch of the block.
 *
 * RCX GPA and level; RDX TDR. The tree is locked exclusively. TLB_TRACKING_NOT_DONE names RCX as
 * its operand, in 1.5.01 the tree.
 *
 * Source: ABI Reference 348551, TDH.MEM.RANGE.UNBLOCK leaf (leaf 39); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_range_unblock.c: tdh_mem_range_unblock();
 * docs/module-notes.md#tlb-tracking.
 */
import {
  ALL_BLOCKED,
  BLOCKED,
  entry,
  isTable,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  stateOf,
  type EntryState,
} from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { gfnOf, mappingOperand, tdGet, tdrOperand, tdStateLocked } from '../operands.ts';
import { implicitPage } from '../pages.ts';
import { EPT, REG } from '../pamt.ts';
import { ENTRY_TO_TDR } from '../release.ts';
import { findEntry, requireBlockedAndTracked, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

const TO_UNBLOCKED: ReadonlyMap<EntryState, EntryState> = new Map([
  [NL_BLOCKED, NL_MAPPED],
  [BLOCKED, MAPPED],
  [PENDING_BLOCKED, PENDING],
]);

export const rangeUnblock: InterfaceFunction = {
  name: 'TDH.MEM.RANGE.UNBLOCK',
  release: ENTRY_TO_TDR,
  *run(tdx, call) {
    let status: S.Status;

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 0, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK
    // 4. tree, exclusive; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD
    // 5. entry state
    if ((status = requireState(tdx, call, ALL_BLOCKED)) !== S.SUCCESS) return status;
    const page = pageOf(call.entry);
    const table = isTable(call.entry);
    const size = table ? 0 : call.level;

    // LOCK
    // 6. page (version 1.0)
    if (tdx.version.unblockLocksPage) {
      const type = table ? EPT : REG;
      if ((status = yield* implicitPage(tdx, call, page, size, type)) !== S.SUCCESS) return status;
    }

    // GUARD
    // 7. no vCPU in the guest since before the block
    const bepoch = tdx.pamt.bepoch(page, size);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;

    // EFFECT
    // 8. entry := unblocked; this write unlocks it
    const state = TO_UNBLOCKED.get(stateOf(call.entry)) as EntryState; // ALL_BLOCKED are the keys
    yield* tdx.writeEntry(call, call.entryCell, entry(state, page));
    return S.SUCCESS;
  },
};
