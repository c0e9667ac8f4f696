/**
 * TDH.MEM.RANGE.BLOCK: blocks an entry, leaf or table, so that nothing translates through it, and
 * stamps its page with the current TD_EPOCH.
 *
 * RCX GPA and level; RDX TDR. The tree is locked exclusively; the PAMT entry whose BEPOCH is
 * written is not locked. A blocked table hides everything below it from host and guest alike.
 *
 * Source: ABI Reference 348551, TDH.MEM.RANGE.BLOCK leaf (leaf 7); intel/tdx-module 1.5.01,
 * src/vmm_dispatcher/api_calls/tdh_mem_range_block.c: tdh_mem_range_block(), block_sept_entry();
 * docs/module-notes.md#tlb-tracking.
 */
import {
  ALL_BLOCKED,
  among,
  BLOCKED,
  BLOCKEDW,
  entry,
  isTable,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  PENDING_BLOCKEDW,
  setOf,
  stateOf,
  type EntryState,
} from '../entry.ts';
import { SHARED } from '../locks.ts';
import type { InterfaceFunction } from '../module.ts';
import { gfnOf, mappingOperand, tdCell, tdGet, tdrOperand, tdStateLocked } from '../operands.ts';
import { ENTRY_TO_TDR } from '../release.ts';
import {
  aboutEntry,
  findEntry,
  lockBit,
  requireState,
  updateEntry,
  withoutProgress,
} from '../sept.ts';
import * as S from '../status.ts';
import { IN_BUILD_OR_RUN, TD } from '../td.ts';

const TO_BLOCKED: ReadonlyMap<EntryState, EntryState> = new Map([
  [NL_MAPPED, NL_BLOCKED],
  [MAPPED, BLOCKED],
  [BLOCKEDW, BLOCKED],
  [PENDING, PENDING_BLOCKED],
  [PENDING_BLOCKEDW, PENDING_BLOCKED],
]);
const BLOCKABLE = setOf(...TO_BLOCKED.keys());

export const rangeBlock: InterfaceFunction = {
  name: 'TDH.MEM.RANGE.BLOCK',
  release: ENTRY_TO_TDR,
  *run(tdx, call) {
    const { m, pamt, geometry } = tdx;
    let status: S.Status;

    // GUARD
    // 1. TDR, shared
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    // 2. TD state; OP_STATE, shared
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    // 3. GPA and level
    if ((status = mappingOperand(tdx, call, 0, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;

    // LOCK
    // 4. tree, exclusive; walk; entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD
    // 5. entry state
    if (among(ALL_BLOCKED, call.entry)) return aboutEntry(tdx, call, S.GPA_RANGE_ALREADY_BLOCKED);
    if ((status = requireState(tdx, call, BLOCKABLE)) !== S.SUCCESS) return status;

    // EFFECT
    // 6. entry := blocked
    const state = TO_BLOCKED.get(stateOf(call.entry)) as EntryState; // BLOCKABLE are the keys
    const target = pageOf(withoutProgress(tdx, call.entry, call.level));
    if (!(yield* updateEntry(tdx, call, entry(state, target) | lockBit(call))))
      return aboutEntry(tdx, call, S.OPERAND_BUSY);
    // 7. BEPOCH := TD_EPOCH
    const size = isTable(call.entry) ? 0 : call.level;
    const page = geometry.align(target, size);
    const epoch = yield* m.read(tdCell(tdx, call, TD.TD_EPOCH));
    yield* m.write(pamt.bepoch(page, size), epoch);
    return S.SUCCESS;
  },
};
