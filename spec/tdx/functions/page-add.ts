/**
 * TDH.MEM.PAGE.ADD: adds a 4 KiB page with contents to a TD that is being built.
 *
 * RCX GPA and level 0; RDX TDR; R8 the page; R9 the source page. Holding the TDR exclusively, it
 * takes no OP_STATE or entry lock, and in version 1.5 no tree lock. Source: module notes §3;
 * `commit-order.jsonl`.
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
import { assignPage, newPageOperand } from '../pages.ts';
import { PAGE_THEN_TDR } from '../release.ts';
import { lockTree, requireState, walkTo } from '../sept.ts';
import * as S from '../status.ts';
import { IN_INITIALIZED, TD } from '../td.ts';

export const pageAdd: InterfaceFunction = {
  name: 'TDH.MEM.PAGE.ADD',
  release: [HELD_TREE, ...PAGE_THEN_TDR],
  *run(tdx, call) {
    let status: S.Status;

    // LOCK: the TDR, exclusively
    if (
      (status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, EXCLUSIVE)) !== S.SUCCESS
    )
      return status;

    // GUARD: TD state and GPA
    if ((status = tdState(tdx, call)) !== S.SUCCESS) return status;
    if ((status = opStateAmong(tdx, call, IN_INITIALIZED)) !== S.SUCCESS) return status;
    if ((status = mappingOperand(tdx, call, 0, 0)) !== S.SUCCESS) return status;

    // LOCK: the tree, in the versions that lock it for this function
    if ((status = yield* lockTree(tdx, call)) !== S.SUCCESS) return status;

    // GUARD: the entry, the pages
    if ((status = yield* walkTo(tdx, call, gfnOf(call.in.rcx), 0)) !== S.SUCCESS) return status;
    if ((status = requireState(call, setOf(FREE))) !== S.SUCCESS) return status;
    if (isBadSource(tdx, call.in.r9, PAGE_BYTES)) return S.on(S.OPERAND_INVALID, S.OPERANDS.R9);
    if ((status = yield* newPageOperand(tdx, call, call.in.r8, 0)) !== S.SUCCESS) return status;

    // EFFECT: contents, entry, count, PAMT. The source lies outside what this specification models: all zeroes
    tdx.memory.zero(call.page);
    yield* tdx.writeEntry(call, call.entryCell, entry(MAPPED, call.page));
    yield* tdx.m.add(tdCell(tdx, call, TD.CHLDCNT), 1);
    yield* assignPage(tdx, call.page, 0, call.tdr);
    return S.SUCCESS;
  },
};
