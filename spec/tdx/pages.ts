/**
 * Pages that enter, change and leave a TD: the PAMT side of the functions.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.c: check_and_lock_free_range_hpa(),
 * check_and_lock_explicit_4k_private_hpa(); src/common/memory_handlers/pamt_manager.c:
 * pamt_implicit_get(), pamt_implicit_get_and_lock(), pamt_promote(), pamt_demote(),
 * pamt_is_2mb_range_free(); writes and their order measured: docs/module-notes.md#new-pages.
 */
import type { Steps } from '../machine/step.ts';
import { HELD_IMPLICIT, HELD_PAGE, type Call, type Register, type Role } from './call.ts';
import { EXCLUSIVE } from './locks.ts';
import type { TdxModule } from './module.ts';
import { isBadAddress, pageNumber, refuseWalked, walkPamt } from './operands.ts';
import { NDA, NO_OWNER, Pamt, REG, type PageType } from './pamt.ts';
import * as S from './status.ts';

/** The new private page in R8, of the size that `level` maps: free, and locked exclusively. */
export function* newPageOperand(
  tdx: TdxModule,
  call: Call,
  hpa: Register,
  level: number,
): Steps<S.Status> {
  const span = tdx.geometry.span(level);
  if (isBadAddress(tdx, hpa, span)) return S.on(S.OPERAND_INVALID, S.OPERANDS.R8);
  const page = pageNumber(tdx, hpa);
  if (page < 0) return S.on(S.OPERAND_ADDR_RANGE_ERROR, S.OPERANDS.R8);
  const size = yield* walkPamt(tdx, call, HELD_PAGE, page, EXCLUSIVE, level);
  if (size < 0)
    return yield* refuseWalked(tdx, call, HELD_PAGE, S.on(S.OPERAND_BUSY, S.OPERANDS.R8));
  if (size !== level || !isUnassigned(tdx, page, level)) {
    return yield* refuseWalked(
      tdx,
      call,
      HELD_PAGE,
      S.on(S.PAGE_METADATA_INCORRECT, S.OPERANDS.R8),
    );
  }
  call.page = page;
  return S.SUCCESS;
}

/** Whether the whole range is free. The entries of smaller pages are read without their locks. */
function isUnassigned(tdx: TdxModule, page: number, size: number): boolean {
  if (tdx.pamt.type(page, size) !== NDA) return false;
  if (size === 0) return true;
  for (let i = 0; i < tdx.geometry.fanout; i++) {
    if (tdx.pamt.type(page + i * tdx.geometry.span(size - 1), size - 1) !== NDA) return false;
  }
  return true;
}

/**
 * Assigns a page to the TD: type, then owner, two writes. BEPOCH starts at 0 in 1.5, and stays from
 * the last use in 1.0.
 */
export function* assignPage(
  tdx: TdxModule,
  page: number,
  size: number,
  tdr: number,
  type: PageType = REG,
): Steps<void> {
  const meta = tdx.pamt.meta(page, size);
  yield* tdx.m.write(meta, Pamt.pack(type, Pamt.ownerOf(tdx.m.peek(meta))));
  if (tdx.version.resetsBepoch) tdx.m.poke(tdx.pamt.bepoch(page, size), 0);
  yield* tdx.m.write(meta, Pamt.pack(type, tdr));
}

/**
 * Assigns a page of a TD's or vCPU's control structure to the TD. 1.0 is recorded step by step, and
 * writes type, then owner; 1.5 is not, and is specified with one write.
 */
export function* assignStructure(tdx: TdxModule, call: Call, type: PageType): Steps<void> {
  const meta = tdx.pamt.meta(call.page, 0);
  if (tdx.version.assignsStructuresTwice)
    yield* tdx.m.write(meta, Pamt.pack(type, Pamt.ownerOf(tdx.m.peek(meta))));
  yield* tdx.m.write(meta, Pamt.pack(type, call.tdr));
}

/**
 * Makes one page of `size` from its parts, which belong to one TD: type, then owner. BEPOCH keeps
 * the value from when the range was last a page of that size (docs/module-notes.md#tlb-tracking).
 */
export function* mergePages(tdx: TdxModule, page: number, size: number): Steps<void> {
  const meta = tdx.pamt.meta(page, size);
  if (!tdx.version.resizesPamtAtOnce)
    yield* tdx.m.write(meta, Pamt.pack(REG, Pamt.ownerOf(tdx.m.peek(meta))));
  yield* tdx.m.write(meta, Pamt.pack(REG, tdx.pamt.owner(page, size - 1)));
}

/** Assigns one of the parts of a page of the TD that is split. */
export function* splitOff(tdx: TdxModule, page: number, size: number, tdr: number): Steps<void> {
  if (!tdx.version.resizesPamtAtOnce) return yield* assignPage(tdx, page, size, tdr);
  yield* tdx.m.write(tdx.pamt.meta(page, size), Pamt.pack(REG, tdr));
}

/** Frees a page of the TD. Only the type changes; owner and BEPOCH stay until the next use. */
export function* freePage(tdx: TdxModule, page: number, size: number): Steps<void> {
  const meta = tdx.pamt.meta(page, size);
  yield* tdx.m.write(meta, Pamt.pack(NDA, Pamt.ownerOf(tdx.m.peek(meta))));
}

/** Frees the page of a table. 1.0 also clears owner and BEPOCH. */
export function* freeTable(tdx: TdxModule, page: number): Steps<void> {
  if (!tdx.version.clearsRemovedTable) return yield* freePage(tdx, page, 0);
  yield* tdx.m.write(tdx.pamt.meta(page, 0), Pamt.pack(NDA, NO_OWNER));
  yield* tdx.m.write(tdx.pamt.bepoch(page, 0), 0);
}

/**
 * Locks the PAMT entry of a page that the function reached through the S-EPT, without a walk.
 * Before the lock the module halts if PAMT contradicts the tree: it tests for NDA and RSVD, this
 * specification for any other type than `type`. The owner is not checked.
 */
export function* implicitPage(
  tdx: TdxModule,
  call: Call,
  page: number,
  size: number,
  type: PageType,
  role: Role = HELD_IMPLICIT,
): Steps<S.Status> {
  const meta = yield* tdx.m.read(tdx.pamt.meta(page, size));
  if (Pamt.typeOf(meta) !== type) return S.MODULE_HALT;
  const taken = yield* tdx.acquire(call, role, tdx.pamt.lock(page, size), EXCLUSIVE);
  return taken ? S.SUCCESS : S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);
}
