/**
 * TDH.MEM.PAGE.PROMOTE: merges the 512 leaves of a Secure EPT page into one leaf, and frees that
 * page.
 *
 * RCX GPA and level of the entry that points to the page; RDX TDR. Returns the freed page's HPA in
 * RCX, and where PAMT is dynamic the pages with the entries of 4K leaves in R12 and R13. An
 * NL_BLOCKED entry comes out unblocked. In 1.5 the function is interruptible before it commits.
 *
 * Source: ABI Reference 348551, TDH.MEM.PAGE.PROMOTE leaf (leaf 23); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_page_promote.c: tdh_mem_page_promote(),
 * is_sept_page_valid_for_merge(); docs/module-notes.md#release-order.
 */
import type { Steps } from '../../machine/step.ts';
import { HELD_ENTRY, HELD_RANGE, type Call } from '../call.ts';
import { among, ENTRY_LOCK, NL_BLOCKED, NL_MAPPED, pageOf, setOf, type Entry } from '../entry.ts';
import { EXCLUSIVE, SHARED } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import {
  addressOf,
  gfnOf,
  mappingOperand,
  noL2Pages,
  tdCell,
  tdrOperand,
  tdStateLocked,
  versionUpTo1,
} from '../operands.ts';
import { freePage, implicitPage, joinPages, uncountPage } from '../pages.ts';
import { EPT } from '../pamt.ts';
import { PAGES_ENTRY_TO_TDR } from '../release.ts';
import {
  aboutEntry,
  findEntry,
  lockBit,
  requireBlockedAndTracked,
  requireState,
  tryEntry,
} from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

export const pagePromote: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.PROMOTE',
  release: [HELD_RANGE, ...PAGES_ENTRY_TO_TDR],
  *run(tdx, call) {
    const { pamt, geometry } = tdx;
    let status: S.Status;

    // GUARD
    // 1. version; TDR, shared
    noL2Pages(call);
    if ((status = versionUpTo1(call)) !== S.SUCCESS) return status;
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 1, 2)) !== S.SUCCESS) return status;

    // LOCK
    // 4. tree; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;
    // 5. entry state; S-EPT page
    if ((status = requireState(tdx, call, setOf(NL_MAPPED, NL_BLOCKED))) !== S.SUCCESS)
      return status;
    const { level } = call;
    const table = pageOf(call.entry);
    if ((status = yield* implicitPage(tdx, call, table, 0, EPT)) !== S.SUCCESS) return status;

    // GUARD
    // 6. no vCPU can walk through the page any more
    const bepoch = pamt.bepoch(table, 0);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;

    // LOCK and GUARD
    // 7. every child; they are one range in one state
    const children = yield* lockChildren(tdx, call, table, level);
    status = children.status;
    // 8. no interrupt
    if (status === S.SUCCESS && tdx.isInterrupted(call)) {
      call.rcx = call.in.rcx;
      call.rdx = call.in.rdx;
      status = S.INTERRUPTED_RESTARTABLE;
    }
    // 9. PAMT entry of the range
    const page = geometry.align(pageOf(children.first), level);
    if (status === S.SUCCESS) {
      const taken = yield* tdx.acquire(call, HELD_RANGE, pamt.lock(page, level), EXCLUSIVE);
      if (!taken) status = S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);
    }
    if (status !== S.SUCCESS) return yield* unlockChildren(tdx, call, table, children, status);

    // EFFECT
    // 10. PAMT of the range and of its parts
    yield* joinPages(tdx, call, page, level);
    yield* tdx.release(call, HELD_RANGE);
    // 11. entry := the first child, reread: a host may have requested priority
    const first = yield* tdx.m.read(tdx.memory.word(table, 0));
    const leaf = (first & ~ENTRY_LOCK) | lockBit(call);
    yield* tdx.writeEntry(call, call.entryCell, leaf);
    // 12. CHLDCNT; S-EPT page: free
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), -1);
    yield* freePage(tdx, table, 0);
    const hint = yield* uncountPage(tdx, table);
    // the children stay locked in a page that is no table any more: these locks are gone
    for (let i = 0; i < children.locked; i++)
      tdx.locks.notify('released', tdx.memory.word(table, i), EXCLUSIVE);
    call.rcx = addressOf(tdx, table) + hint;
    return S.SUCCESS;
  },
};

interface Children {
  readonly status: S.Status;
  /** Number of children that are locked. */
  readonly locked: number;
  readonly first: Entry;
}

/** Unlocks the children of a refused call. */
function* unlockChildren(
  tdx: TdxModule,
  call: Call,
  table: number,
  { locked }: Children,
  status: S.Status,
): Steps<S.Status> {
  for (let i = 0; i < locked; i++) yield* tdx.unlockEntry(call, tdx.memory.word(table, i));
  return status;
}

/**
 * Locks the children one after the other (version 1.0 does not). The first must be MAPPED, or in
 * 1.5 PENDING, at an address aligned to the merged size. Each other one must be the previous one
 * plus a page: same state, same attributes, next address. The accept counters of 2M PENDING leaves
 * are not compared.
 */
function* lockChildren(tdx: TdxModule, call: Call, table: number, level: number): Steps<Children> {
  const { fanout } = tdx.geometry;
  const span = tdx.geometry.span(level - 1);
  const entryLock = call.modeOf(HELD_ENTRY) !== 0;
  let first = 0;
  for (let i = 0; i < fanout; i++) {
    const cell = tdx.memory.word(table, i);
    if (entryLock && !(yield* tryEntry(tdx, call, cell))) {
      return { status: aboutEntry(tdx, call, S.OPERAND_BUSY), locked: i, first };
    }
    const child = yield* tdx.m.read(cell);
    const comparable = child - (pageOf(child) % span);
    if (i === 0) first = child;
    const expected = first - (pageOf(first) % span) + i * span;
    const fits =
      i === 0
        ? among(tdx.version.mergeable, child) && pageOf(comparable) % (span * fanout) === 0
        : comparable === expected;
    if (!fits) {
      const status = aboutEntry(tdx, call, S.EPT_INVALID_PROMOTE_CONDITIONS);
      return { status, locked: entryLock ? i + 1 : 0, first };
    }
  }
  return { status: S.SUCCESS, locked: entryLock ? fanout : 0, first };
}
