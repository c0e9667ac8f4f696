/**
 * TDH.MEM.PAGE.REMOVE: removes a private page from the TD.
 *
 * RCX GPA and level; RDX TDR. Returns the page's HPA in RCX.
 *
 * Source: ABI Reference 348551, TDH.MEM.PAGE.REMOVE leaf (leaf 29); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_page_remove.c: tdh_mem_page_remove().
 */
import {
  BLOCKED,
  BLOCKEDW,
  FREE,
  MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  PENDING_BLOCKEDW,
  setOf,
} from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import {
  addressOf,
  gfnOf,
  mappingOperand,
  tdCell,
  tdrOperand,
  tdStateLocked,
} from '../operands.ts';
import { freePage, implicitPage, uncountPage } from '../pages.ts';
import { REG } from '../pamt.ts';
import { PAGES_ENTRY_TO_TDR } from '../release.ts';
import { findEntry, requireBlockedAndTracked, requireState, withoutProgress } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

const REMOVABLE = setOf(MAPPED, BLOCKED, BLOCKEDW, PENDING, PENDING_BLOCKED, PENDING_BLOCKEDW);

export const pageRemove: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.REMOVE',
  release: PAGES_ENTRY_TO_TDR,
  *run(tdx, call) {
    let status: S.Status;

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 0, 2)) !== S.SUCCESS) return status;

    // LOCK
    // 4. tree; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;
    // 5. entry state; page
    if ((status = requireState(tdx, call, REMOVABLE)) !== S.SUCCESS) return status;
    const { level } = call;
    call.entry = withoutProgress(tdx, call.entry, level); // reported so as well
    const page = tdx.geometry.align(pageOf(call.entry), level);
    if ((status = yield* implicitPage(tdx, call, page, level, REG)) !== S.SUCCESS) return status;

    // GUARD
    // 6. no vCPU can have it in its TLB
    const bepoch = tdx.pamt.bepoch(page, level);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;

    // EFFECT
    // 7. entry := FREE; this write unlocks it
    yield* tdx.writeEntry(call, call.entryCell, FREE);
    // 8. CHLDCNT; PAMT; RCX
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), -tdx.geometry.span(level));
    yield* freePage(tdx, page, level);
    call.rcx = addressOf(tdx, page) + (yield* uncountPage(tdx, page));
    return S.SUCCESS;
  },
};
