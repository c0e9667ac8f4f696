/**
 * TDH.MEM.SEPT.ADD: adds and maps a 4 KiB Secure EPT page.
 *
 * RCX GPA and level of the entry that will point to the page; RDX TDR and flags (bit 0
 * ALLOW_EXISTING); R8 the page. Version 1 takes L2 pages in R9-R11, and returns in R8-R11 what
 * became of the pages: all-ones is used up (or was not given), bit 63 set is not needed. That bit
 * is ignored on input. Source: module notes §3; `commit-order.jsonl`.
 */
import { ALL_ONES, type Call, type Register } from '../call.ts';
import { entry, FREE, NL_MAPPED, setOf, stateOf } from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import {
  flagsOf,
  gfnOf,
  isNull,
  mappingOperand,
  tdCell,
  tdGet,
  tdrOperand,
  tdStateLocked,
  versionUpTo1,
  withoutFlags,
} from '../operands.ts';
import { newPageOperand } from '../pages.ts';
import { EPT, Pamt } from '../pamt.ts';
import { ENTRY_PAGE_TO_TDR } from '../release.ts';
import { aboutEntry, findEntry, lockBit, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

const ALLOW_EXISTING = 1;
/** Bit 63 of a page register. */
const NOT_NEEDED = 2 ** 63;
/** Pages for L2 VMs, which this specification does not have. */
const L2_PAGES = [
  ['r9', S.OPERANDS.R9],
  ['r10', S.OPERANDS.R10],
  ['r11', S.OPERANDS.R11],
] as const;

export const septAdd: InterfaceFunction = {
  name: 'TDH.MEM.SEPT.ADD',
  release: ENTRY_PAGE_TO_TDR,
  *run(tdx, call) {
    const { m, pamt } = tdx;
    let status: S.Status;

    // GUARD: operands and TD state
    returnPages(call, (page) => page);
    if ((status = versionUpTo1(call)) !== S.SUCCESS) return status;
    returnPages(call, withoutMark);
    const newPage = withoutMark(call.in.r8);
    const flags = flagsOf(call.in.rdx);
    if (flags > ALLOW_EXISTING) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    const tdr = withoutFlags(call.in.rdx);
    if ((status = yield* tdrOperand(tdx, call, tdr, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    if ((status = mappingOperand(tdx, call, 1, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK: the tree, then the entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD: the entry, then the page
    if ((status = requireState(call, setOf(FREE, NL_MAPPED))) !== S.SUCCESS) return status;
    const existing = stateOf(call.entry) === NL_MAPPED;
    if (isNull(newPage)) {
      if (call.in.version === 0) return S.on(S.OPERAND_INVALID, S.OPERANDS.R8);
      if (!existing) return aboutEntry(call, S.EPT_ENTRY_STATE_INCORRECT);
    } else if (existing) {
      if (flags !== ALLOW_EXISTING) return aboutEntry(call, S.EPT_ENTRY_STATE_INCORRECT);
      call.r8 = newPage + NOT_NEEDED;
    } else if ((status = yield* newPageOperand(tdx, call, newPage, 0)) !== S.SUCCESS) return status;
    if (call.in.version === 1) {
      for (const [register, operand] of L2_PAGES) {
        if (!isNull(call.in[register])) return S.on(S.OPERAND_INVALID, operand);
      }
    }

    // EFFECT: 512 FREE entries, owned by the TD, linked last
    if (!existing) {
      tdx.memory.zero(call.page);
      m.poke(pamt.bepoch(call.page, 0), 0);
      yield* m.write(pamt.meta(call.page, 0), Pamt.pack(EPT, call.tdr));
      yield* m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
      yield* tdx.writeEntry(call, call.entryCell, entry(NL_MAPPED, call.page) | lockBit(call));
      call.r8 = ALL_ONES;
    }
    return S.SUCCESS;
  },
};

/** A page register without the mark that an earlier call may have put there. */
const withoutMark = (page: Register): Register => (page >= NOT_NEEDED ? page - NOT_NEEDED : page);

function returnPages(call: Call, as: (page: Register) => Register): void {
  call.r8 = as(call.in.r8);
  call.r9 = as(call.in.r9);
  call.r10 = as(call.in.r10);
  call.r11 = as(call.in.r11);
}
