/**
 * TDH.MEM.SEPT.ADD of module 1.0: adds and maps a 4K Secure EPT page. The entry has to be FREE; the
 * PAMT entry of the page is written last.
 *
 * RCX GPA and level of the entry that will point to the page; RDX TDR; R8 the page.
 *
 * Source: tdx-module 1.0.03 (commit fd485aa of niooss-ledger/tdx-module),
 * src/vmm_dispatcher/api_calls/tdh_mem_sept_add.c: tdh_mem_sept_add(); order of writes measured.
 */
import { entry, FREE, NL_MAPPED, setOf } from '../../entry.ts';
import { SHARED } from '../../locks.ts';
import type { InterfaceFunction } from '../../module.ts';
import { gfnOf, mappingOperand, tdCell, tdGet, tdrOperand, tdStateLocked } from '../../operands.ts';
import { assignPage, newPageOperand } from '../../pages.ts';
import { EPT } from '../../pamt.ts';
import { ENTRY_PAGE_TO_TDR } from '../../release.ts';
import { findEntry, requireState } from '../../sept.ts';
import * as S from '../../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../../td.ts';

export const septAdd: InterfaceFunction = {
  name: 'TDH.MEM.SEPT.ADD',
  release: ENTRY_PAGE_TO_TDR,
  *run(tdx, call) {
    const { rcx, rdx, r8 } = call.in;
    let status: S.Status;

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 1, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK
    // 4. tree, exclusive; walk
    if ((status = yield* findEntry(tdx, call, gfnOf(rcx))) !== S.SUCCESS) return status;

    // GUARD
    // 5. entry state
    if ((status = requireState(tdx, call, setOf(FREE))) !== S.SUCCESS) return status;
    // 6. new page: free, exclusive
    if ((status = yield* newPageOperand(tdx, call, r8, 0)) !== S.SUCCESS) return status;

    // EFFECT
    // 7. 512 FREE entries; entry := NL_MAPPED
    tdx.memory.zero(call.page);
    yield* tdx.writeEntry(call, call.entryCell, entry(NL_MAPPED, call.page));
    // 8. CHLDCNT; PAMT
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
    yield* assignPage(tdx, call.page, 0, call.tdr, EPT);
    return S.SUCCESS;
  },
};
