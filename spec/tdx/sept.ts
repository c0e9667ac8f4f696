/**
 * Walking, locking and changing the Secure EPT: the building blocks of every function that has a
 * GPA operand. Source: module notes §2 and §5; lock words and orders from `locks.json` and
 * `commit-order.jsonl`.
 */
import type { Cell } from '../machine/machine.ts';
import { RMW, TRY, type Steps, access } from '../machine/step.ts';
import { HELD_ENTRY, HELD_TREE, type Call } from './call.ts';
import {
  ALL_BLOCKED,
  among,
  ENTRY_LOCK,
  HOST_PRIORITY,
  isWalkable,
  pageOf,
  stateCode,
  stateOf,
  TRACKED,
  type Entry,
  type StateSet,
} from './entry.ts';
import { EXCLUSIVE } from './locks.ts';
import type { TdxModule } from './module.ts';
import { tdCell, tdGet } from './operands.ts';
import * as S from './status.ts';
import { refcountOf, RUNNABLE, TD } from './td.ts';
import type { SeptFunction } from './versions.ts';

/** Takes the tree lock as the module version says for this function. */
export function* lockTree(tdx: TdxModule, call: Call): Steps<S.Status> {
  const { tree } = tdx.locking(call.name as SeptFunction); // only functions of that table call this
  if (tree === null) return S.SUCCESS;
  const taken = yield* tdx.acquire(call, HELD_TREE, tdCell(tdx, call, TD.SEPT_LOCK), tree);
  return taken ? S.SUCCESS : S.on(S.OPERAND_BUSY, S.OPERANDS.SEPT_TREE);
}

/**
 * Walks from the root towards `level`. It goes on only through an entry that grants some permission
 * and is not a leaf: so a blocked table hides its subtree. `call.entry*` tell where the walk ended;
 * true when that is at `level`.
 */
export function* walk(tdx: TdxModule, call: Call, gfn: number, level: number): Steps<boolean> {
  let table = tdGet(tdx, call, TD.SEPT_ROOT);
  for (let at = tdGet(tdx, call, TD.ROOT_LEVEL); ; at--) {
    const cell = tdx.memory.word(table, tdx.geometry.index(gfn, at));
    const e = yield* tdx.m.read(cell);
    call.table = table;
    call.entryCell = cell;
    call.entry = e;
    call.level = at;
    if (at <= level) return at === level;
    if (!isWalkable(e)) return false;
    table = pageOf(e);
  }
}

/** Puts the entry where the walk ended into RCX and RDX, as errors about an entry do. */
export function reportEntry(call: Call): void {
  call.rcxEntry = call.entry;
  call.rdx = call.level | (stateCode(stateOf(call.entry)) << 8);
}

/** A status about the entry: with operand RCX, and the entry's details in RCX and RDX. */
export function aboutEntry(call: Call, status: S.Status): S.Status {
  reportEntry(call);
  return S.on(status, S.OPERANDS.RCX);
}

/** Walk to the requested level, or EPT_WALK_FAILED with the entry that stopped it. */
export function* walkTo(tdx: TdxModule, call: Call, gfn: number, level: number): Steps<S.Status> {
  return (yield* walk(tdx, call, gfn, level)) ? S.SUCCESS : aboutEntry(call, S.EPT_WALK_FAILED);
}

/**
 * Locks the entry for the host (bit 11). A refused host sets the host-priority bit; success clears
 * it. The entry is read again afterwards. Versions without entry locks only read it again.
 */
export function* lockEntry(tdx: TdxModule, call: Call): Steps<S.Status> {
  if (tdx.locking(call.name as SeptFunction).entryLock) {
    // see lockTree
    if (!(yield* tryEntry(tdx, call, call.entryCell))) return aboutEntry(call, S.OPERAND_BUSY);
    call.hold(HELD_ENTRY, call.entryCell, EXCLUSIVE);
  }
  call.entry = yield* tdx.m.read(call.entryCell);
  return S.SUCCESS;
}

/** One host attempt at an entry lock, in one step. */
export function* tryEntry(tdx: TdxModule, call: Call, cell: Cell): Steps<boolean> {
  yield access(cell, TRY);
  const e = tdx.m.peek(cell);
  if ((e & ENTRY_LOCK) !== 0) {
    tdx.m.poke(cell, e | HOST_PRIORITY);
    call.busyLock = cell;
    tdx.locks.tell('refused', cell, EXCLUSIVE);
    return false;
  }
  tdx.m.poke(cell, (e | ENTRY_LOCK) & ~HOST_PRIORITY);
  tdx.locks.tell('taken', cell, EXCLUSIVE);
  return true;
}

/** The usual way to an entry: tree lock, walk to the level that `call.level` asks for, entry lock. */
export function* findEntry(tdx: TdxModule, call: Call, gfn: number): Steps<S.Status> {
  const wanted = call.level;
  const tree = yield* lockTree(tdx, call);
  if (tree !== S.SUCCESS) return tree;
  const walked = yield* walkTo(tdx, call, gfn, wanted);
  return walked !== S.SUCCESS ? walked : yield* lockEntry(tdx, call);
}

/** EPT_ENTRY_STATE_INCORRECT with details, unless the entry is in one of `states`. */
export const requireState = (call: Call, states: StateSet): S.Status =>
  among(states, call.entry) ? S.SUCCESS : aboutEntry(call, S.EPT_ENTRY_STATE_INCORRECT);

/**
 * Replaces an entry that a guest may be updating. Under an entry lock this is a plain write;
 * without (version 1.0) it is a transaction that fails when the entry is no longer what the call
 * has read.
 */
export function* updateEntry(tdx: TdxModule, call: Call, value: Entry): Steps<boolean> {
  if (call.modeOf(HELD_ENTRY) !== 0) {
    yield* tdx.writeEntry(call, call.entryCell, value);
    return true;
  }
  yield access(call.entryCell, RMW);
  const before = tdx.m.peek(call.entryCell);
  if (before !== call.entry) return false;
  tdx.m.poke(call.entryCell, value);
  for (const listener of tdx.listeners)
    listener.entryWritten?.(call.entryCell, before, value, call);
  return true;
}

/** The lock bit that a write keeping the entry locked has to carry. */
export const lockBit = (call: Call): number => (call.modeOf(HELD_ENTRY) !== 0 ? ENTRY_LOCK : 0);

/**
 * Has every vCPU that may have cached a translation blocked in epoch `bepoch` left the TD or
 * flushed? The epoch cell is read in one step. Source: epoch notes, rule 5; all 108 rows of
 * `epoch_table.json`.
 */
export function* isTracked(tdx: TdxModule, call: Call, bepoch: number): Steps<boolean> {
  const epoch = yield* tdx.m.read(tdCell(tdx, call, TD.TD_EPOCH));
  if (bepoch === epoch - 1) return tdGet(tdx, call, refcountOf(bepoch)) === 0;
  return bepoch < epoch - 1;
}

/**
 * "Blocked and tracked": what a function asks for before it takes a translation away from a TD that
 * can run. Nothing is asked while the TD is being built. `bepoch` is the cell to check.
 */
export function* requireBlockedAndTracked(
  tdx: TdxModule,
  call: Call,
  bepoch: Cell,
): Steps<S.Status> {
  if (tdGet(tdx, call, TD.OP_STATE) !== RUNNABLE || !among(TRACKED, call.entry)) return S.SUCCESS;
  if (!among(ALL_BLOCKED, call.entry)) return aboutEntry(call, S.GPA_RANGE_NOT_BLOCKED);
  const tracked = yield* isTracked(tdx, call, yield* tdx.m.read(bepoch));
  return tracked ? S.SUCCESS : S.on(S.TLB_TRACKING_NOT_DONE, S.OPERANDS.RCX);
}
