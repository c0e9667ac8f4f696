/**
 * TDH.MEM.PAGE.RELOCATE: moves a 4 KiB private page to another physical page, and unblocks it.
 *
 * RCX GPA and level 0; RDX TDR; R8 the new page. Returns the old page's HPA in RCX. Source: module
 * notes §3; `commit-order.jsonl`.
 */
import {
  BLOCKED,
  isPending,
  LEAVES,
  MAPPED,
  PAGE_MASK,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  stateOf,
  withState,
  type EntryState,
} from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { addressOf, gfnOf, mappingOperand, tdrOperand, tdStateLocked } from '../operands.ts';
import { assignPage, freePage, implicitPage, newPageOperand } from '../pages.ts';
import { REG } from '../pamt.ts';
import { PAGES_ENTRY_TO_TDR } from '../release.ts';
import { findEntry, requireBlockedAndTracked, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN } from '../td.ts';

/** A relocated entry comes out unblocked; other states stay. */
export const unblocked = (state: EntryState): EntryState =>
  state === BLOCKED ? MAPPED : state === PENDING_BLOCKED ? PENDING : state;

export const pageRelocate: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.RELOCATE',
  release: PAGES_ENTRY_TO_TDR,
  *run(tdx, call) {
    let status: S.Status;

    // GUARD: operands and TD state
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    if ((status = mappingOperand(tdx, call, 0, 0)) !== S.SUCCESS) return status;

    // LOCK: the tree, the entry, then the old page
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;
    if ((status = requireState(call, LEAVES)) !== S.SUCCESS) return status;
    const old = pageOf(call.entry);
    if (call.in.r8 === addressOf(tdx, old)) return S.on(S.OPERAND_INVALID, S.OPERANDS.R8);
    if ((status = yield* implicitPage(tdx, call, old, 0, REG)) !== S.SUCCESS) return status;

    // GUARD: no vCPU can still have the old page in its TLB; the new one is free
    const bepoch = tdx.pamt.bepoch(old, 0);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;
    if ((status = yield* newPageOperand(tdx, call, call.in.r8, 0)) !== S.SUCCESS) return status;

    // EFFECT: contents, PAMT of both pages, entry
    if (!isPending(call.entry)) tdx.memory.copy(old, call.page);
    yield* freePage(tdx, old, 0);
    yield* assignPage(tdx, call.page, 0, call.tdr);
    const moved = (call.entry & ~PAGE_MASK) | call.page; // lock and host priority are those of the value read
    yield* tdx.writeEntry(call, call.entryCell, withState(moved, unblocked(stateOf(call.entry))));
    call.rcx = addressOf(tdx, old);
    return S.SUCCESS;
  },
};
