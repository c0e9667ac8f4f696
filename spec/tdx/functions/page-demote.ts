/**
 * TDH.MEM.PAGE.DEMOTE: splits a 2M or 1G leaf into 512 leaves under a new Secure EPT page.
 *
 * RCX GPA and level; RDX TDR and flags (bit 0: the L2 VMs that get a table as well; none in 1.0);
 * R8 the new page; R12 and R13 the pages for the PAMT entries of 4K parts, where PAMT is dynamic. A
 * blocked leaf comes out unblocked. The function is interruptible before it commits, unless the
 * version says otherwise.
 *
 * Source: ABI Reference 348551, TDH.MEM.PAGE.DEMOTE leaf (leaf 15); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_page_demote.c: tdh_mem_page_demote();
 * docs/module-notes.md#release-order.
 */
import type { Cell } from '../../machine/machine.ts';
import type { Steps } from '../../machine/step.ts';
import { HELD_RANGE, type Call } from '../call.ts';
import {
  ALL_BLOCKED,
  among,
  BLOCKED,
  entry,
  MAPPED,
  NL_MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  setOf,
  stateOf,
} from '../entry.ts';
import { EXCLUSIVE, SHARED } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import {
  flagsOf,
  gfnOf,
  mappingOperand,
  tdCell,
  tdrOperand,
  tdStateLocked,
  withoutFlags,
} from '../operands.ts';
import { countPage, newPageOperand, splitPage } from '../pages.ts';
import {
  pagesOfPair,
  pairAddress,
  pairInTdmr,
  takePair,
  type PairOperands,
} from '../pair-operands.ts';
import { PAIR } from '../pamt-pairs.ts';
import { EPT, NDA, Pamt, REG } from '../pamt.ts';
import { PAGES_ENTRY_TO_TDR, PAIR_LAST } from '../release.ts';
import {
  findEntry,
  lockBit,
  requireBlockedAndTracked,
  requireState,
  withoutProgress,
} from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';
import { unblocked } from './page-relocate.ts';

/** The pair is released before the range. */
const PAIR_FIRST = [...PAIR_LAST, HELD_RANGE];
const SPLITTABLE = setOf(MAPPED, BLOCKED, PENDING, PENDING_BLOCKED);

export const pageDemote: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.DEMOTE',
  release: [...PAIR_FIRST, ...PAGES_ENTRY_TO_TDR],
  *run(tdx, call) {
    const { m, memory, pamt, geometry } = tdx;
    let status: S.Status;

    // GUARD
    // 1. flags; TDR, shared
    if (flagsOf(call.in.rdx) > tdx.version.tdrFlags) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    const tdr = withoutFlags(call.in.rdx);
    if ((status = yield* tdrOperand(tdx, call, tdr, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 1, 2)) !== S.SUCCESS) return status;

    // LOCK
    // 4. tree; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD
    // 5. entry state
    if ((status = requireState(tdx, call, SPLITTABLE)) !== S.SUCCESS) return status;
    const { level } = call;
    const page = geometry.align(pageOf(call.entry), level);
    call.entry = withoutProgress(tdx, call.entry, level); // reported so as well
    // 6. PAMT agrees with the tree
    const meta = yield* m.read(pamt.meta(page, level));
    if (Pamt.typeOf(meta) !== REG) return S.MODULE_HALT;
    // 7. no vCPU can have it in its TLB, unless it may: the parts translate as the whole does
    const bepoch = pamt.bepoch(page, level);
    if ((status = yield* requireUnused(tdx, call, bepoch)) !== S.SUCCESS) return status;
    // 8. new page: free, exclusive
    if ((status = yield* newPageOperand(tdx, call, call.in.r8, 0)) !== S.SUCCESS) return status;

    // EFFECT
    // 9. new page filled, unlinked; the call can still fail
    const span = geometry.span(level - 1);
    const state = unblocked(stateOf(call.entry));
    memory.zero(call.page);
    for (let i = 0; i < geometry.fanout; i++)
      m.poke(memory.word(call.page, i), entry(state, page + i * span));

    // GUARD
    // 10. no interrupt
    if (tdx.isInterrupted(call)) {
      call.rcx = call.in.rcx;
      call.rdx = call.in.rdx;
      return S.INTERRUPTED_RESTARTABLE;
    }

    // LOCK
    // 11. PAMT entry of the range
    const taken = yield* tdx.acquire(call, HELD_RANGE, pamt.lock(page, level), EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);

    // LOCK and GUARD
    // 12. where PAMT is dynamic: pages for the entries of 4K parts
    if ((status = yield* takeGiven(tdx, call)) !== S.SUCCESS) return status;

    // EFFECT
    // 13. PAMT of the parts and of the range
    yield* splitPage(tdx, call, page, level, pagesOfPair(tdx, givenPair(call)));
    for (const held of PAIR_FIRST) yield* tdx.release(call, held);
    // 14. entry := NL_MAPPED
    yield* tdx.writeEntry(call, call.entryCell, entry(NL_MAPPED, call.page) | lockBit(call));
    // 15. PAMT of the new page; CHLDCNT
    yield* ownNewPage(tdx, call);
    return S.SUCCESS;
  },
};

/** PAMT of the new page, owner before type; CHLDCNT after it, in 1.0 before it. */
function* ownNewPage(tdx: TdxModule, call: Call): Steps<void> {
  const { m, pamt, version } = tdx;
  const count = tdCell(tdx, call, TD.CHLDCNT);
  if (version.demoteCountsFirst) yield* m.add(count, 1);
  yield* m.write(pamt.meta(call.page, 0), Pamt.pack(NDA, call.tdr));
  yield* m.write(pamt.meta(call.page, 0), Pamt.pack(EPT, call.tdr));
  yield* countPage(tdx, call.page);
  if (!version.demoteCountsFirst) yield* m.add(count, 1);
}

/** The pages in R12 and R13. */
const givenPair = ({ in: { r12 = 0, r13 = 0 } }: Call): PairOperands => ({
  hpas: [r12, r13],
  operands: [S.OPERANDS.R12, S.OPERANDS.R13],
});

/** The pair in R12 and R13: addresses, then the TDMR, then both pages. */
function* takeGiven(tdx: TdxModule, call: Call): Steps<S.Status> {
  const { pairs } = tdx.pamt;
  if (pairs === null || call.level !== 1) return S.SUCCESS;
  const pair = givenPair(call);
  for (const check of [pairAddress, pairInTdmr]) {
    for (const i of PAIR) {
      const status = check(tdx, pair, i);
      if (status !== S.SUCCESS) return status;
    }
  }
  return yield* takePair(tdx, call, pairs, pair, NO_RANGE);
}
/** The range itself is a page, so no page of it can be walked to. */
const NO_RANGE = -1;

/** A version that needs no block splits what is mapped; what is blocked must still be tracked. */
function* requireUnused(tdx: TdxModule, call: Call, bepoch: Cell): Steps<S.Status> {
  const mayUse = !tdx.version.demoteNeedsBlock && !among(ALL_BLOCKED, call.entry);
  return mayUse ? S.SUCCESS : yield* requireBlockedAndTracked(tdx, call, bepoch);
}
