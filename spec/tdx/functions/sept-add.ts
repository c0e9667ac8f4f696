/**
 * TDH.MEM.SEPT.ADD: adds and maps a 4K Secure EPT page.
 *
 * RCX GPA and level of the entry that will point to the page; RDX TDR and flags (bit 0
 * ALLOW_EXISTING); R8 the page. Version 1 takes L2 pages in R9-R11 and returns the state of each
 * page in R8-R11: all-ones for a page that was used or not given, bit 63 set for one that is not
 * needed. Bit 63 is ignored on input.
 *
 * Source: ABI Reference 348551, TDH.MEM.SEPT.ADD leaf (leaf 3); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_sept_add.c: tdh_mem_sept_add().
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
import { countPage, newPageOperand } from '../pages.ts';
import { EPT, Pamt } from '../pamt.ts';
import { ENTRY_PAGE_TO_TDR } from '../release.ts';
import { aboutEntry, findEntry, lockBit, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

const ALLOW_EXISTING = 1;
/** Bit 63 of a page register. */
const NOT_NEEDED = 2 ** 63;
/** The page registers of L2 VMs, which are not modelled. */
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

    // GUARD
    // 1. version
    returnPages(call, (page) => page);
    if ((status = versionUpTo1(call)) !== S.SUCCESS) return status;
    // 2. flags; TDR, shared
    returnPages(call, withoutMark);
    const newPage = withoutMark(call.in.r8);
    const flags = flagsOf(call.in.rdx);
    if (flags > ALLOW_EXISTING) return S.on(S.OPERAND_INVALID, S.OPERANDS.RDX);
    const tdr = withoutFlags(call.in.rdx);
    if ((status = yield* tdrOperand(tdx, call, tdr, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 3. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 4. GPA and level
    if ((status = mappingOperand(tdx, call, 1, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK
    // 5. tree; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD
    // 6. entry state
    if ((status = requireState(tdx, call, setOf(FREE, NL_MAPPED))) !== S.SUCCESS) return status;
    const existing = stateOf(call.entry) === NL_MAPPED;
    // 7. new page: none, not needed, or free and exclusive
    if (isNull(newPage)) {
      if (call.in.version === 0) return S.on(S.OPERAND_INVALID, S.OPERANDS.R8);
      if (!existing) return aboutEntry(tdx, call, S.EPT_ENTRY_STATE_INCORRECT);
    } else if (existing) {
      if (flags !== ALLOW_EXISTING) return aboutEntry(tdx, call, S.EPT_ENTRY_STATE_INCORRECT);
      call.r8 = newPage + NOT_NEEDED;
    } else if ((status = yield* newPageOperand(tdx, call, newPage, 0)) !== S.SUCCESS) return status;
    // 8. no L2 pages
    if (call.in.version === 1) {
      for (const [register, operand] of L2_PAGES) {
        if (!isNull(call.in[register])) return S.on(S.OPERAND_INVALID, operand);
      }
    }

    // EFFECT
    if (!existing) {
      // 9. 512 FREE entries; PAMT; CHLDCNT
      tdx.memory.zero(call.page);
      m.poke(pamt.bepoch(call.page, 0), 0);
      yield* m.write(pamt.meta(call.page, 0), Pamt.pack(EPT, call.tdr));
      yield* countPage(tdx, call.page);
      yield* m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
      // 10. entry := NL_MAPPED
      yield* tdx.writeEntry(call, call.entryCell, entry(NL_MAPPED, call.page) | lockBit(call));
      call.r8 = ALL_ONES;
    }
    return S.SUCCESS;
  },
};

/** A page register without the bit 63 that an earlier call may have set. */
const withoutMark = (page: Register): Register => (page >= NOT_NEEDED ? page - NOT_NEEDED : page);

function returnPages(call: Call, as: (page: Register) => Register): void {
  call.r8 = as(call.in.r8);
  call.r9 = as(call.in.r9);
  call.r10 = as(call.in.r10);
  call.r11 = as(call.in.r11);
}
