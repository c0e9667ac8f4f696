/**
 * Modules with one thing changed, each of which breaks one rule. A faulty function is the correct
 * one, altered (altered.ts); faults of locks are in faulty-locks.ts.
 */
import { Geometry } from '../../../spec/machine/geometry.ts';
import type { Cell } from '../../../spec/machine/machine.ts';
import { HELD_ENTRY, HELD_IMPLICIT, type Call } from '../../../spec/tdx/call.ts';
import {
  BLOCKED,
  ENTRY_LOCK,
  FREE,
  HOST_PRIORITY,
  isTable,
  pageOf,
  PENDING_BLOCKED,
  REMOVED,
  stateOf,
  withState,
} from '../../../spec/tdx/entry.ts';
import { memRd } from '../../../spec/tdx/functions/mem-rd.ts';
import { memTrack } from '../../../spec/tdx/functions/mem-track.ts';
import { pageAug } from '../../../spec/tdx/functions/page-aug.ts';
import { pageDemote } from '../../../spec/tdx/functions/page-demote.ts';
import { pagePromote } from '../../../spec/tdx/functions/page-promote.ts';
import { pageRelocate } from '../../../spec/tdx/functions/page-relocate.ts';
import { pageRemove } from '../../../spec/tdx/functions/page-remove.ts';
import { phymemPageReclaim } from '../../../spec/tdx/functions/phymem-page-reclaim.ts';
import { rangeBlock } from '../../../spec/tdx/functions/range-block.ts';
import { septRd } from '../../../spec/tdx/functions/sept-rd.ts';
import { septRemove } from '../../../spec/tdx/functions/sept-remove.ts';
import { vpEnter } from '../../../spec/tdx/functions/vp-enter.ts';
import { pageAccept } from '../../../spec/tdx/guest/accept.ts';
import type { InterfaceFunction, TdxModule } from '../../../spec/tdx/module.ts';
import { NDA, Pamt, REG } from '../../../spec/tdx/pamt.ts';
import * as S from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { pageAccept as pageAccept10 } from '../../../spec/tdx/versions/v1.0/page-accept.ts';
import { answering, onMachine, through, withParts } from './altered.ts';

const tdWord = (tdx: TdxModule, call: Call, field: number): Cell =>
  tdx.memory.word(call.tdr, field);

/** RANGE.BLOCK makes a PENDING page BLOCKED, as if it had been accepted. */
export const blockAcceptsPages = through(rangeBlock, (tdx) => ({
  writeEntry: (call, cell, value) =>
    tdx.writeEntry(
      call,
      cell,
      stateOf(value) === PENDING_BLOCKED ? withState(value, BLOCKED) : value,
    ),
}));

/** PAGE.REMOVE does not require that the page is blocked. */
export const removeIgnoresBlocking = onMachine(pageRemove, (m, tdx, call) => ({
  peek: (cell) =>
    call.entryCell >= 0 && cell === tdWord(tdx, call, TD.OP_STATE) ? 1 : m.peek(cell),
}));

/** RANGE.BLOCK writes the entry beside its own. */
export const blockHitsNeighbour = through(rangeBlock, (tdx) => ({
  writeEntry: (call, cell, value) => tdx.writeEntry(call, cell + 1, value),
}));

/** SEPT.RD changes the entry that it reads. */
export const readMarksEntry: InterfaceFunction = {
  ...septRd,
  *run(tdx, call) {
    const status = yield* septRd.run(tdx, call);
    if (status === S.SUCCESS)
      yield* tdx.writeEntry(call, call.entryCell, withState(call.entry, REMOVED));
    return status;
  },
};

class OtherTable extends Geometry {
  override index(gfn: number, level: number): number {
    return level === 1 ? super.index(gfn, level) ^ 1 : super.index(gfn, level);
  }
}

/** PAGE.AUG walks into another table on its way to the entry. */
export const augInOtherTable = through(pageAug, (tdx) => ({
  geometry: new OtherTable(tdx.geometry.fanout),
}));

/** PROMOTE unlocks the entries of the table that it frees. */
export const promoteUnlocksChildren = answering(
  pagePromote,
  (status, call, { m, memory, geometry, platform }) => {
    const table = call.rcx / 4096 - platform.tdmrBase;
    if (status !== S.SUCCESS) return status;
    for (let i = 0; i < geometry.fanout; i++)
      m.poke(memory.word(table, i), m.peek(memory.word(table, i)) & ~ENTRY_LOCK);
    return status;
  },
);

/** SEPT.REMOVE reads every child as FREE. */
export const septRemoveIgnoresChildren = onMachine(septRemove, (m, tdx, call) => ({
  peek: (cell) => {
    const first = isTable(call.entry) ? tdx.memory.word(pageOf(call.entry), 0) : cell + 1;
    const isChild = cell >= first && cell < first + tdx.geometry.fanout;
    return isChild && call.modeOf(HELD_IMPLICIT) !== 0 ? FREE : m.peek(cell);
  },
}));

/** PAGE.AUG writes another owner of the page. */
export const augForgetsOwner = answering(pageAug, (status, call, tdx) => {
  if (status === S.SUCCESS)
    tdx.m.poke(tdx.pamt.meta(call.page, call.level), Pamt.pack(REG, call.tdr + 1));
  return status;
});

/** PAGE.AUG takes a page that is in use. */
export const augTakesAnyPage = through(pageAug, ({ pamt }) => ({
  pamt: withParts(pamt, {
    type: (page, size) => (pamt.type(page, size) === REG ? NDA : pamt.type(page, size)),
  }),
}));

/** PAGE.RELOCATE does not free the old page. */
export const relocateKeepsOldPage = answering(pageRelocate, (status, call, tdx) => {
  const old = call.rcx / 4096 - tdx.platform.tdmrBase;
  if (status === S.SUCCESS) tdx.m.poke(tdx.pamt.meta(old, 0), Pamt.pack(REG, call.tdr));
  return status;
});

/** PAGE.DEMOTE leaves out the last part of the page. */
export const demoteLosesPart = onMachine(pageDemote, (m, tdx, call) => ({
  poke: (cell, value) => {
    const last = tdx.memory.word(call.page, tdx.geometry.fanout - 1);
    m.poke(cell, call.page >= 0 && cell === last ? FREE : value);
  },
}));

/** PAGE.REMOVE treats any blocked page as tracked: it reads a TD_EPOCH that is two too high. */
export const removeSkipsTracking = onMachine(pageRemove, (m, tdx, call) => ({
  *read(cell) {
    const value = yield* m.read(cell);
    return cell === tdWord(tdx, call, TD.TD_EPOCH) ? value + 2 : value;
  },
}));

/** TDH.VP.ENTER does not flush. */
export const enterForgetsFlush = through(vpEnter, () => ({ listeners: [] }));

/** TRACK does not wait for vCPUs: it reads both REFCOUNTs as 0. */
export const trackDoesNotWait = onMachine(memTrack, (m, tdx, call) => ({
  peek: (cell) => {
    const isCount =
      cell === tdWord(tdx, call, TD.REFCOUNT_EVEN) || cell === tdWord(tdx, call, TD.REFCOUNT_ODD);
    return call.tdr >= 0 && isCount ? 0 : m.peek(cell);
  },
}));

/** TDH.VP.ENTER does not count the vCPU. */
export const enterDoesNotCount = onMachine(vpEnter, (m, tdx, call) => ({
  *add(cell, delta) {
    const isCount =
      cell === tdWord(tdx, call, TD.REFCOUNT_EVEN) || cell === tdWord(tdx, call, TD.REFCOUNT_ODD);
    return yield* m.add(cell, isCount ? 0 : delta);
  },
}));

/** PAGE.REMOVE halts the module where it should return EPT_ENTRY_STATE_INCORRECT. */
export const removeHalts = answering(pageRemove, (status) =>
  S.classOf(status) === S.EPT_ENTRY_STATE_INCORRECT ? S.MODULE_HALT : status,
);

/** PAGE.REMOVE does not decrement CHLDCNT. */
export const removeDoesNotCount = onMachine(pageRemove, (m) => ({
  add: (cell) => m.add(cell, 0),
}));

/** PAGE.RECLAIM does not decrement CHLDCNT. */
export const reclaimDoesNotCount = onMachine(phymemPageReclaim, (m) => ({
  add: (cell) => m.add(cell, 0),
}));

/** RANGE.BLOCK returns OPERAND_BUSY instead of SUCCESS. */
export const blockIsAlwaysBusy = answering(rangeBlock, (status) =>
  status === S.SUCCESS ? S.on(S.OPERAND_BUSY, S.OPERANDS.RCX) : status,
);

/** ACCEPT does not reread the entry under the lock. */
export const acceptActsOnOldEntry = onMachine(pageAccept, (m, _tdx, call) => ({
  *read(cell) {
    const now = yield* m.read(cell);
    return call.modeOf(HELD_ENTRY) !== 0 && cell === call.entryCell ? call.entry : now;
  },
}));
/** ACCEPT reports success when its transaction has failed. */
export const acceptLosesUpdate = answering(pageAccept10, (status) =>
  S.classOf(status) === S.OPERAND_BUSY ? S.SUCCESS : status,
);

/** ACCEPT ignores the host-priority bit. */
export const acceptIgnoresPriority = onMachine(pageAccept, (m, _tdx, call) => ({
  peek: (cell) => (cell === call.entryCell ? m.peek(cell) & ~HOST_PRIORITY : m.peek(cell)),
}));
/** A refused PAGE.REMOVE does not set the host-priority bit. */
export const removeDoesNotAsk = onMachine(pageRemove, (m) => ({
  poke: (cell, value) => {
    if (value !== (m.peek(cell) | HOST_PRIORITY)) m.poke(cell, value);
  },
}));

/** ACCEPT does not zero the page. */
export const acceptDoesNotZero = through(pageAccept, ({ memory }) => ({
  memory: withParts(memory, { zero: () => {} }),
}));

/** ACCEPT reports an accepted page as a size mismatch. */
export const acceptMistakesSize = answering(pageAccept, (status) =>
  S.classOf(status) === S.PAGE_ALREADY_ACCEPTED
    ? S.on(S.PAGE_SIZE_MISMATCH, S.operandOf(status))
    : status,
);

/** MEM.RD treats every TD as a debug TD. */
export const readOfProductionTd = onMachine(memRd, (m, tdx, call) => ({
  peek: (cell) => (call.tdr >= 0 && cell === tdWord(tdx, call, TD.DEBUG) ? 1 : m.peek(cell)),
}));
