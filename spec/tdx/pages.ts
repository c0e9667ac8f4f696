/**
 * Pages that enter, change and leave a TD: the PAMT side of the functions.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.c: check_and_lock_free_range_hpa(),
 * check_and_lock_explicit_4k_private_hpa(); src/common/memory_handlers/pamt_manager.c:
 * pamt_implicit_get(), pamt_implicit_get_and_lock(), pamt_promote(), pamt_demote(),
 * pamt_is_2mb_range_free(); writes and their order measured: docs/module-notes.md#new-pages.
 */
import { WRITE, type Steps, access } from '../machine/step.ts';
import { HELD_IMPLICIT, HELD_PAGE, type Call, type Register, type Role } from './call.ts';
import { EXCLUSIVE } from './locks.ts';
import type { TdxModule } from './module.ts';
import { isBadAddress, misfitOf, pageNumber, refuseWalked, walkPamt } from './operands.ts';
import { returnPair } from './pair-operands.ts';
import { NDA, NO_OWNER, Pamt, PAMT, REG, type PageType } from './pamt.ts';
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
  let misfit = misfitOf(tdx, page, size, level, NDA);
  if (misfit === S.SUCCESS && !isUnassigned(tdx, page, level)) misfit = S.PAGE_METADATA_INCORRECT;
  if (misfit !== S.SUCCESS)
    return yield* refuseWalked(tdx, call, HELD_PAGE, S.on(misfit, S.OPERANDS.R8));
  call.page = page;
  return S.SUCCESS;
}

/**
 * Whether every part of a range that is no page itself is free. The entries of the parts, or with
 * dynamic PAMT their bits, are read without locks.
 */
function isUnassigned({ pamt, geometry }: TdxModule, page: number, size: number): boolean {
  if (size === 0) return true;
  for (let i = 0; i < geometry.fanout; i++) {
    const part = page + i * geometry.span(size - 1);
    if (pamt.type(part, size - 1) !== NDA || pamt.pairs?.isPamtPage(part) === true) return false;
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
function* mergePages(tdx: TdxModule, page: number, size: number): Steps<void> {
  const meta = tdx.pamt.meta(page, size);
  if (!tdx.version.resizesPamtAtOnce)
    yield* tdx.m.write(meta, Pamt.pack(REG, Pamt.ownerOf(tdx.m.peek(meta))));
  yield* tdx.m.write(meta, Pamt.pack(REG, tdx.pamt.owner(page, size - 1)));
}

/** Assigns a page to the TD in one write, as some versions do with the parts of a split page. */
function* assignPageAtOnce(tdx: TdxModule, page: number, size: number, tdr: number): Steps<void> {
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

/** Bit 62 of a returned page: no 4K page of its range is in use any more. */
const REMOVAL_HINT = 2 ** 62;

/** Counts a 4K page that a function has assigned, where its range has a pair of PAMT pages. */
export function* countPage({ m, pamt }: TdxModule, page: number): Steps<void> {
  if (pamt.pairs !== null && pamt.type(page, 1) === PAMT) yield* m.add(pamt.pairs.count(page), 1);
}

/**
 * Counts a page that a function has freed; returns the hint to add to the register that names the
 * page, or 0.
 */
export function* uncountPage({ m, pamt }: TdxModule, page: number): Steps<number> {
  if (pamt.pairs === null || pamt.type(page, 1) !== PAMT) return 0;
  const left = yield* m.add(pamt.pairs.count(page), -1);
  return left === 0 ? REMOVAL_HINT : 0;
}

/**
 * Makes the parts of a large page pages of the TD, and frees the page itself. Where PAMT is dynamic
 * the entries of 4K parts are in a pair of pages that the call has taken.
 */
export function* splitPage(
  tdx: TdxModule,
  call: Call,
  page: number,
  level: number,
  pair: readonly [number, number],
): Steps<void> {
  const { m, pamt, geometry } = tdx;
  const span = geometry.span(level - 1);
  if (pamt.pairs === null || level !== 1) {
    const assign = tdx.version.resizesPamtAtOnce ? assignPageAtOnce : assignPage;
    for (let i = 0; i < geometry.fanout; i++)
      yield* assign(tdx, page + i * span, level - 1, call.tdr);
    return yield* freePage(tdx, page, level);
  }
  yield access(pamt.meta(page, level), WRITE);
  for (let i = 0; i < geometry.fanout; i++) {
    m.poke(pamt.meta(page + i, 0), Pamt.pack(REG, pamt.owner(page, level)));
    m.poke(pamt.bepoch(page + i, 0), 0);
  }
  pamt.pairs.set(page, pair);
  m.poke(pamt.pairs.count(page), geometry.fanout);
  m.poke(pamt.meta(page, level), Pamt.pack(PAMT, NO_OWNER));
}

/**
 * Makes one page of its parts, and frees these. Where PAMT is dynamic, the pair of pages with the
 * entries of 4K parts returns to the host.
 */
export function* joinPages(tdx: TdxModule, call: Call, page: number, level: number): Steps<void> {
  const { m, pamt, geometry } = tdx;
  const { pairs } = pamt;
  if (pairs === null || level !== 1) {
    yield* mergePages(tdx, page, level);
    for (let i = 0; i < geometry.fanout; i++)
      yield* freePage(tdx, page + i * geometry.span(level - 1), level - 1);
    return;
  }
  yield access(pamt.meta(page, level), WRITE);
  m.poke(pamt.meta(page, level), Pamt.pack(REG, pamt.owner(page, 0)));
  m.poke(pamt.bepoch(page, level), 0);
  for (let i = 0; i < geometry.fanout; i++) m.poke(pamt.meta(page + i, 0), 0);
  call.returnedPair = yield* returnPair(tdx, pairs, page);
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
  if (size === 0 && !tdx.pamt.isNode(page, 1)) return S.MODULE_HALT;
  const taken = yield* tdx.acquire(call, role, tdx.pamt.lock(page, size), EXCLUSIVE);
  return taken ? S.SUCCESS : S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);
}
