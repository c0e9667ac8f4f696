/**
 * TDH.MEM.SEPT.REMOVE: removes an empty Secure EPT page from the tree.
 *
 * RCX GPA and level of the entry that points to the page; RDX TDR. Returns the page's HPA in RCX.
 * The tree is locked exclusively.
 *
 * Source: ABI Reference 348551, TDH.MEM.SEPT.REMOVE leaf (leaf 30); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_sept_remove.c: tdh_mem_sept_remove().
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
import { freeTable, implicitPage, uncountPage } from '../pages.ts';
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

    // GUARD
    // 1. version; TDR, shared
    noL2Pages(call);
    if ((status = versionUpTo1(call)) !== S.SUCCESS) return status;
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 1, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK
    // 4. tree, exclusive; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;
    // 5. entry state; S-EPT page
    if ((status = requireState(tdx, call, setOf(NL_MAPPED, NL_BLOCKED))) !== S.SUCCESS)
      return status;
    const page = pageOf(call.entry);
    if ((status = yield* implicitPage(tdx, call, page, 0, EPT)) !== S.SUCCESS) return status;

    // GUARD
    // 6. no vCPU can walk through the page any more
    const bepoch = tdx.pamt.bepoch(page, 0);
    if ((status = yield* requireBlockedAndTracked(tdx, call, bepoch)) !== S.SUCCESS) return status;
    // 7. every entry FREE
    if (!isEmpty(tdx, page)) return aboutEntry(tdx, call, tdx.version.tableNotEmpty);

    // EFFECT
    // 8. entry := FREE; this write unlocks it
    yield* tdx.writeEntry(call, call.entryCell, FREE);
    // 9. CHLDCNT; PAMT; RCX
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), -1);
    yield* freeTable(tdx, page);
    call.rcx = addressOf(tdx, page) + (yield* uncountPage(tdx, page));
    return S.SUCCESS;
  },
};

/** Whether all entries are FREE. REMOVED, which migration leaves behind, counts as used. */
function isEmpty(tdx: TdxModule, table: number): boolean {
  const free = setOf(FREE);
  for (let i = 0; i < tdx.geometry.fanout; i++) {
    if (!among(free, tdx.m.peek(tdx.memory.word(table, i)))) return false;
  }
  return true;
}
