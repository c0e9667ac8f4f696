/**
 * TDH.MEM.PAGE.AUG: adds a 4 KiB or 2 MiB page that the guest has to accept.
 *
 * RCX GPA and level; RDX TDR; R8 the page. Source: module notes §3; `commit-order.jsonl`.
 *
 * Finding F2 (docs/findings.md): in module 1.5 the PENDING entry is published, unlocked, before
 * PAMT says REG. A function that trusts the entry in between stops the platform.
 */
import { entry, FREE, PENDING, REMOVED, setOf } from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { gfnOf, mappingOperand, tdCell, tdrOperand, tdStateLocked } from '../operands.ts';
import { assignPage, newPageOperand } from '../pages.ts';
import { ENTRY_PAGE_TO_TDR } from '../release.ts';
import { findEntry, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

export const pageAug: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.AUG',
  release: ENTRY_PAGE_TO_TDR,
  *run(tdx, call) {
    let status: S.Status;

    // GUARD: operands and TD state
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    if ((status = mappingOperand(tdx, call, 0, 1)) !== S.SUCCESS) return status;
    const level = call.level;

    // LOCK: the tree, then the entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD: the entry, then the page
    if ((status = requireState(call, setOf(FREE, REMOVED))) !== S.SUCCESS) return status;
    if ((status = yield* newPageOperand(tdx, call, call.in.r8, level)) !== S.SUCCESS) return status;

    // EFFECT: the entry (this write unlocks it), the count, and only then the PAMT
    yield* tdx.writeEntry(call, call.entryCell, entry(PENDING, call.page));
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), tdx.geometry.span(level));
    yield* assignPage(tdx, call.page, level, call.tdr);
    return S.SUCCESS;
  },
};
