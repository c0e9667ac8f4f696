/**
 * The common part of TDH.MEM.RD and TDH.MEM.WR: from the operands to the locked entry and the word
 * that it maps.
 *
 * Source: intel/tdx-module 1.5.01, src/vmm_dispatcher/api_calls/tdh_mem_rd_wr.c: tdh_mem_rd_wr();
 * docs/module-notes.md#walks.
 */
import { PAGE_BYTES } from '../machine/memory.ts';
import type { Steps } from '../machine/step.ts';
import { HELD_TREE, type Call } from './call.ts';
import { pageOf, type StateSet } from './entry.ts';
import { SHARED } from './locks.ts';
import type { TdxModule } from './module.ts';
import { gfnOf, isBadGpa, tdGet, tdrOperand, tdStateLocked } from './operands.ts';
import { lockEntry, lockTree, requireState, walkToLeaf } from './sept.ts';
import * as S from './status.ts';
import { IN_BUILD_OR_RUN, TD } from './td.ts';

const WORD_BYTES = 8;

/** Finds the word at RCX. On success `call.dataCell` is its cell, and the entry is locked. */
export function* accessMemory(tdx: TdxModule, call: Call, states: StateSet): Steps<S.Status> {
  const { rcx, rdx } = call.in;
  let status: S.Status;

  // GUARD
  // 1. TDR, shared
  if ((status = yield* tdrOperand(tdx, call, rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
    return status;
  // 2. TD state; OP_STATE, shared; a debug TD
  if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
  if (tdGet(tdx, call, TD.DEBUG) === 0) return S.TD_NON_DEBUG;
  // 3. GPA: alignment
  const badGpa = S.on(S.OPERAND_INVALID, S.OPERANDS.RCX);
  if (rcx < 0 || rcx % WORD_BYTES !== 0) return badGpa;

  const isPrivate = !isBadGpa(tdx, call, rcx);
  if (tdx.version.accessChecksGpaFirst && !isPrivate) return badGpa;

  // LOCK
  // 4. tree
  if ((status = yield* lockTree(tdx, call)) !== S.SUCCESS) return status;

  // GUARD
  // 5. GPA: private
  if (!isPrivate) return badGpa;
  // 6. walk to a readable leaf of any size
  if ((status = yield* walkToLeaf(tdx, call, gfnOf(rcx))) !== S.SUCCESS) return status;

  // LOCK
  // 7. entry; version 1.0 has none, and of a large leaf it releases the tree
  if ((status = yield* lockEntry(tdx, call)) !== S.SUCCESS) return status;
  if (tdx.version.largeAccessDropsTree && call.level > 0) yield* tdx.release(call, HELD_TREE);

  // GUARD
  // 8. entry state
  if ((status = requireState(tdx, call, states)) !== S.SUCCESS) return status;
  call.dataCell = dataWord(tdx, pageOf(call.entry), call.level, rcx);
  return S.SUCCESS;
}

/** The cell of the 8-byte word at `gpa` (bytes), inside the leaf at `level` that maps `page`. */
function dataWord(tdx: TdxModule, page: number, level: number, gpa: number): number {
  const first = tdx.geometry.align(page, level);
  const within = gfnOf(gpa) % tdx.geometry.span(level);
  return tdx.memory.word(
    first + within,
    Math.floor((gpa % PAGE_BYTES) / WORD_BYTES) % tdx.memory.wordsPerPage,
  );
}
