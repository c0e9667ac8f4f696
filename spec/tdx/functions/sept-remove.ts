/**
 * TDH.MEM.SEPT.REMOVE: removes an empty Secure EPT page from the tree.
 *
 * RCX GPA and level of the entry that points to the page; RDX TDR. Returns the page's HPA in RCX.
 * Source: module notes §3; the tree is locked exclusively (`locks.json`).
 */
import { among, FREE, NL_BLOCKED, NL_MAPPED, pageOf, setOf } from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction, TdxModule } from '../module.ts';
import {
  addressOf,
  gfnOf,
  mappingOperand,
  noL2Pages,
  tdCell,
  tdGet,
  tdrOperand,
  tdStateLocked,
  versionUpTo1,
} from '../operands.ts';
import { freePage, implicitPage } from '../pages.ts';
import { EPT } from '../pamt.ts';
import { PAGES_ENTRY_TO_TDR } from '../release.ts';
import { aboutEntry, findEntry, requireBlockedAndTracked, requireState } from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

export const septRemove: InterfaceFunction = {
  name: 'TDH.MEM.SEPT.REMOVE',
  release: PAGES_ENTRY_TO_TDR,
  *run(tdx, call) {
    let status: S.Status;

    // GUARD: operands and TD state
    noL2Pages(call);
    if ((status = versionUpTo1(call)) !== S.SUCCESS) return status;
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    if ((status = mappingOperand(tdx, call, 1, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK: the tree, the entry, then the page it points to
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;
    if ((status = requireState(call, setOf(NL_MAPPED, NL_BLOCKED))) !== S.SUCCESS) return status;
    const page = pageOf(call.entry);
    if ((status = yield* implicitPage(tdx, call, page, 0, EPT)) !== S.SUCCESS) return status;

    // GUARD: no vCPU can still walk through it, and nothing is mapped below it
    const bepoch = tdx.pamt.bepoch(page, 0);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;
    if (!isEmpty(tdx, page)) return aboutEntry(call, S.EPT_PAGE_NOT_FREE);

    // EFFECT: the entry (this write unlocks it), the count, the page
    yield* tdx.writeEntry(call, call.entryCell, FREE);
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), -1);
    yield* freePage(tdx, page, 0);
    call.rcx = addressOf(tdx, page);
    return S.SUCCESS;
  },
};

/** Are all entries exactly FREE? REMOVED, which migration leaves behind, counts as used. */
function isEmpty(tdx: TdxModule, table: number): boolean {
  const free = setOf(FREE);
  for (let i = 0; i < tdx.geometry.fanout; i++) {
    if (!among(free, tdx.m.peek(tdx.memory.word(table, i)))) return false;
  }
  return true;
}
