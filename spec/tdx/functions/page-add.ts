/**
 * TDH.MEM.PAGE.ADD: adds a 4K page with contents to a TD that is being built.
 *
 * RCX GPA and level 0; RDX TDR; R8 the page; R9 the source page. It holds the TDR exclusively, and
 * so takes no OP_STATE or entry lock, and in version 1.5 no tree lock.
 *
 * Source: ABI Reference 348551, TDH.MEM.PAGE.ADD leaf (leaf 2); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_page_add.c: tdh_mem_page_add().
 */
import { PAGE_BYTES } from '../../machine/memory.ts';
import { HELD_TREE } from '../call.ts';
import { entry, FREE, MAPPED, setOf } from '../entry.ts';
import { EXCLUSIVE } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import {
  gfnOf,
  isBadSource,
  mappingOperand,
  opStateAmong,
  tdCell,
  tdrOperand,
  tdState,
} from '../operands.ts';
import { assignPage, countPage, newPageOperand } from '../pages.ts';
import { PAGE_THEN_TDR } from '../release.ts';
import { lockTree, requireState, walkTo } from '../sept.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED, TD } from '../td.ts';

export const pageAdd: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.ADD',
  release: [HELD_TREE, ...PAGE_THEN_TDR],
  *run(tdx, call) {
    let status: S.Status;

    // LOCK
    // 1. TDR, exclusive
    if (
      (status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS
    )
      return status;

    // GUARD
    // 2. TD state and OP_STATE
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 0, 0)) !== S.SUCCESS) return status;

    // LOCK
    // 4. tree (version 1.0)
    if ((status = yield* lockTree(tdx, call)) !== S.SUCCESS) return status;

    // GUARD
    // 5. walk; entry state
    if ((status = yield* walkTo(tdx, call, gfnOf(call.in.rcx), 0)) !== S.SUCCESS) return status;
    if ((status = requireState(tdx, call, setOf(FREE))) !== S.SUCCESS) return status;
    // 6. source page
    if (isBadSource(tdx, call.in.r9, PAGE_BYTES)) return S.on(S.OPERAND_INVALID, S.OPERANDS.R9);
    // 7. new page: free, exclusive
    if ((status = yield* newPageOperand(tdx, call, call.in.r8, 0)) !== S.SUCCESS) return status;

    // EFFECT
    // 8. contents: zeroes, since the source is not modelled
    tdx.memory.zero(call.page);
    // 9. entry := MAPPED
    yield* tdx.writeEntry(call, call.entryCell, entry(MAPPED, call.page));
    // 10. CHLDCNT; PAMT
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
    yield* assignPage(tdx, call.page, 0, call.tdr);
    yield* countPage(tdx, call.page);
    return S.SUCCESS;
  },
};
