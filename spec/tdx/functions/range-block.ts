/**
 * TDH.MEM.RANGE.BLOCK: makes an entry, leaf or table, untranslatable, and stamps it with the
 * current TD_EPOCH.
 *
 * RCX GPA and level; RDX TDR. The tree is locked exclusively; the PAMT entry whose BEPOCH is
 * written is not locked. A blocked table hides everything below it from host and guest alike.
 * Source: module notes §3; epoch notes, rule 1.
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
import { aboutEntry, findEntry, lockBit, requireState, updateEntry } from '../sept.ts';
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

    // GUARD: operands and TD state
    if ((status = yield* tdrOperand(tdx, call, call.in.rdx, S.OPERANDS.RDX, SHARED)) !== S.SUCCESS)
      return status;
    if ((status = yield* tdStateLocked(tdx, call, IN_BUILD_OR_RUN)) !== S.SUCCESS) return status;
    if ((status = mappingOperand(tdx, call, 0, tdGet(tdx, call, TD.ROOT_LEVEL))) !== S.SUCCESS)
      return status;
    const level = call.level;

    // LOCK: the tree, then the entry
    if ((status = yield* findEntry(tdx, call, gfnOf(call.in.rcx))) !== S.SUCCESS) return status;

    // GUARD: the entry
    if (among(ALL_BLOCKED, call.entry)) return aboutEntry(call, S.GPA_RANGE_ALREADY_BLOCKED);
    if ((status = requireState(call, BLOCKABLE)) !== S.SUCCESS) return status;

    // EFFECT: the entry without its accept counter, then BEPOCH := TD_EPOCH
    const size = isTable(call.entry) ? 0 : level;
    const page = geometry.align(pageOf(call.entry), size);
    const state = TO_BLOCKED.get(stateOf(call.entry)) as EntryState; // BLOCKABLE are the keys
    if (!(yield* updateEntry(tdx, call, entry(state, page) | lockBit(call))))
      return aboutEntry(call, S.OPERAND_BUSY);
    const epoch = yield* m.read(tdCell(tdx, call, TD.TD_EPOCH));
    yield* m.write(pamt.bepoch(page, size), epoch);
    return S.SUCCESS;
  },
};
