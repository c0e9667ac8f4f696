/**
 * TDH.MEM.PAGE.DEMOTE: splits a 2 MiB or 1 GiB leaf into 512 leaves under a new Secure EPT page.
 *
 * RCX GPA and level; RDX TDR and flags (bit 0 is about L2 VMs); R8 the new page. A blocked leaf
 * comes out unblocked. Interruptible before it commits. Source: module notes §3;
 * `commit-order.jsonl`.
 */
import { HELD_RANGE } from '../call.ts';
import {
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
import type { InterfaceFunction } from '../module.ts';
import {
  flagsOf,
  gfnOf,
  mappingOperand,
  tdCell,
  tdrOperand,
  tdStateLocked,
  withoutFlags,
} from '../operands.ts';
import { assignPage, freePage, newPageOperand } from '../pages.ts';
import { EPT, NDA, Pamt, REG } from '../pamt.ts';
import { PAGES_ENTRY_TO_TDR } from '../release.ts';
import { findEntry, lockBit, requireBlockedAndTracked, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';
import { unblocked } from './page-relocate.ts';

/** RDX bit 0: which L2 VMs get a table, too. */
const L2_ADD_MODE = 1;
const SPLITTABLE = setOf(MAPPED, BLOCKED, PENDING, PENDING_BLOCKED);

export const pageDemote: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.DEMOTE',
  release: [HELD_RANGE, ...PAGES_ENTRY_TO_TDR],
  *run(tdx, call) {
    const { m, memory, pamt, geometry } = tdx;
    let status: S.Status;

    // GUARD: operands and TD state
    if (flagsOf(call.in.rdx) > L2_ADD_MODE) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    const tdr = withoutFlags(call.in.rdx);
    if ((status = yield* tdrOperand(tdx, call, tdr, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    if ((status = mappingOperand(tdx, call, 1, 2)) !== S.SUCCESS) return status;
    const level = call.level;

    // LOCK: the tree, then the entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD: the entry; no vCPU can still have it in its TLB; the new page
    if ((status = requireState(call, SPLITTABLE)) !== S.SUCCESS) return status;
    const page = geometry.align(pageOf(call.entry), level);
    call.entry = entry(stateOf(call.entry), page); // without the accept counter, also for what is reported
    const meta = yield* m.read(pamt.meta(page, level));
    if (Pamt.typeOf(meta) !== REG) return S.MODULE_HALT; // tree and PAMT disagree: the module's internal check
    const bepoch = pamt.bepoch(page, level);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;
    if ((status = yield* newPageOperand(tdx, call, call.in.r8, 0)) !== S.SUCCESS) return status;

    // EFFECT: the new page is filled before anything can still fail; nobody sees it yet
    const span = geometry.span(level - 1);
    const state = unblocked(stateOf(call.entry));
    memory.zero(call.page);
    for (let i = 0; i < geometry.fanout; i++)
      m.poke(memory.word(call.page, i), entry(state, page + i * span));

    // GUARD: interrupts. LOCK: the PAMT entry of the range
    if (tdx.interruptPending(call)) {
      call.rcx = call.in.rcx;
      call.rdx = call.in.rdx;
      return S.INTERRUPTED_RESTARTABLE;
    }
    const taken = yield* tdx.acquire(call, HELD_RANGE, pamt.lock(page, level), EXCLUSIVE);
    if (!taken) return S.on(S.OPERAND_BUSY, S.OPERANDS.RCX);

    // EFFECT: PAMT of the parts and of the range; the entry; the new page (owner before type); the count
    for (let i = 0; i < geometry.fanout; i++)
      yield* assignPage(tdx, page + i * span, level - 1, call.tdr);
    yield* freePage(tdx, page, level);
    yield* tdx.release(call, HELD_RANGE);
    yield* tdx.writeEntry(call, call.entryCell, entry(NL_MAPPED, call.page) | lockBit(call));
    yield* m.write(pamt.meta(call.page, 0), Pamt.pack(NDA, call.tdr));
    yield* m.write(pamt.meta(call.page, 0), Pamt.pack(EPT, call.tdr));
    yield* m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
    return S.SUCCESS;
  },
};
