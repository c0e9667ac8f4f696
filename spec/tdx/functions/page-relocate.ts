/**
 * TDH.MEM.PAGE.RELOCATE: moves a 4K private page to another physical page, and unblocks it.
 *
 * RCX GPA and level 0; RDX TDR; R8 the new page. In 1.5 it returns the old page's HPA in RCX.
 *
 * Source: ABI Reference 348551, TDH.MEM.PAGE.RELOCATE leaf (leaf 5); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_page_relocate.c: tdh_mem_page_relocate().
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
import {
  assignPage,
  countPage,
  freePage,
  implicitPage,
  newPageOperand,
  uncountPage,
} from '../pages.ts';
import { REG } from '../pamt.ts';
import { PAGES_ENTRY_TO_TDR } from '../release.ts';
import { findEntry, requireBlockedAndTracked, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN } from '../td.ts';

/** Bits 51:0 of R8 are compared with the entry's page; the test ignores the bits above. */
const PA_LIMIT = 2 ** 52;

/** The unblocked state of a leaf; states that are not blocked stay. */
export const unblocked = (state: EntryState): EntryState =>
  state === BLOCKED ? MAPPED : state === PENDING_BLOCKED ? PENDING : state;

export const pageRelocate: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.RELOCATE',
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
    if ((status = mappingOperand(tdx, call, 0, 0)) !== S.SUCCESS) return status;

    // LOCK
    // 4. tree; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;
    // 5. entry state; R8 is another page
    if ((status = requireState(tdx, call, LEAVES)) !== S.SUCCESS) return status;
    const old = pageOf(call.entry);
    if (call.in.r8 % PA_LIMIT === addressOf(tdx, old))
      return S.on(S.OPERAND_INVALID, S.OPERANDS.R8);
    // 6. old page
    if ((status = yield* implicitPage(tdx, call, old, 0, REG)) !== S.SUCCESS) return status;

    // GUARD
    // 7. no vCPU can have the old page in its TLB
    const bepoch = tdx.pamt.bepoch(old, 0);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;
    // 8. new page: free, exclusive
    if ((status = yield* newPageOperand(tdx, call, call.in.r8, 0)) !== S.SUCCESS) return status;

    // EFFECT
    // 9. contents; PAMT of both pages
    if (!isPending(call.entry)) tdx.memory.copy(old, call.page);
    yield* freePage(tdx, old, 0);
    yield* assignPage(tdx, call.page, 0, call.tdr);
    yield* countPage(tdx, call.page);
    // 10. entry := new page; lock and host-priority bits of the value that was read
    const moved = (call.entry & ~PAGE_MASK) | call.page;
    yield* tdx.writeEntry(call, call.entryCell, withState(moved, unblocked(stateOf(call.entry))));
    const hint = yield* uncountPage(tdx, old);
    if (tdx.version.relocateReturnsPage) call.rcx = addressOf(tdx, old) + hint;
    return S.SUCCESS;
  },
};
