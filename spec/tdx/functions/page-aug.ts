/**
 * TDH.MEM.PAGE.AUG: adds a 4K or 2M page, which the guest has to accept.
 *
 * RCX GPA and level; RDX TDR; R8 the page.
 *
 * Finding F2 (docs/findings.md): in module 1.5 the PENDING entry is published, unlocked, before
 * PAMT has the page as REG. A function that trusts the entry in between halts the platform.
 *
 * Source: ABI Reference 348551, TDH.MEM.PAGE.AUG leaf (leaf 6); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_page_aug.c: tdh_mem_page_aug();
 * docs/module-notes.md#non-atomic-behaviour.
 */
import { entry, FREE, PENDING, REMOVED, setOf } from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { gfnOf, mappingOperand, tdCell, tdrOperand, tdStateLocked } from '../operands.ts';
import { assignPage, countPage, newPageOperand } from '../pages.ts';
import { ENTRY_PAGE_TO_TDR } from '../release.ts';
import { findEntry, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

export const pageAug: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.AUG',
  release: ENTRY_PAGE_TO_TDR,
  *run(tdx, call) {
    let status: S.Status;

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 0, 1)) !== S.SUCCESS) return status;

    // LOCK
    // 4. tree; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD
    // 5. entry state
    if ((status = requireState(tdx, call, setOf(FREE, REMOVED))) !== S.SUCCESS) return status;
    // 6. new page: free, exclusive
    status = yield* newPageOperand(tdx, call, call.in.r8, call.level);
    if (status !== S.SUCCESS) return status;

    // EFFECT
    // 7. entry := PENDING; this write unlocks it
    yield* tdx.writeEntry(call, call.entryCell, entry(PENDING, call.page));
    // 8. CHLDCNT
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), tdx.geometry.span(call.level));
    // 9. PAMT, only now
    yield* assignPage(tdx, call.page, call.level, call.tdr);
    yield* countPage(tdx, call.page);
    return S.SUCCESS;
  },
};
