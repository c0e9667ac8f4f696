/**
 * Walks, locks and changes of the Secure EPT: the building blocks of every function that has a GPA
 * operand.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.c:
 * lock_sept_check_and_walk_private_gpa(); src/common/memory_handlers/sept_manager.c:
 * secure_ept_walk(), set_arch_septe_details_in_vmm_regs(); src/common/helpers/tdx_locks.h:
 * sept_lock_acquire_host(), sept_lock_release(); docs/module-notes.md#walks,
 * docs/module-notes.md#entry-locks.
 */
import type { Cell } from '../machine/machine.ts';
import { RMW, TRY, type Steps, access } from '../machine/step.ts';
import { HELD_ENTRY, HELD_TREE, type Call } from './call.ts';
import {
  ALL_BLOCKED,
  among,
  ENTRY_LOCK,
  HOST_PRIORITY,
  isGuestAccessible,
  isLeaf,
  isWalkable,
  pageOf,
  PENDING,
  stateOf,
  TRACKED,
  type Entry,
  type StateSet,
} from './entry.ts';
import { hasBit63, isBefore } from './epoch.ts';
import { EXCLUSIVE } from './locks.ts';
import type { TdxModule } from './module.ts';
import { tdCell, tdGet } from './operands.ts';
import * as S from './status.ts';
import { refcountOf, RUNNABLE, TD } from './td.ts';
import type { SeptFunction } from './version.ts';

/** Takes the tree lock in the mode of the module version's lock table, if it names one. */
export function* lockTree(tdx: TdxModule, call: Call): Steps<S.Status> {
  const { tree } = tdx.locking(call.name as SeptFunction); // only functions of that table call this
  if (tree === null) return S.SUCCESS;
  const taken = yield* tdx.acquire(call, HELD_TREE, tdCell(tdx, call, TD.SEPT_LOCK), tree);
  return taken ? S.SUCCESS : S.on(S.OPERAND_BUSY, S.OPERANDS.SEPT_TREE);
}

/**
 * Walks from the root towards `level`. The walk continues only through an entry that grants a
 * permission and is not a leaf, so a blocked table hides its subtree. Returns whether it reached
 * `level`; `call.table`, `entryCell`, `entry` and `level` are where it ended.
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

/** Reports the entry where the walk ended in RCX and RDX, as errors about an entry do. */
export function reportEntry(tdx: TdxModule, call: Call): void {
  const { entry, level } = call;
  const { showsProgress, stateCode } = tdx.version.encoding;
  call.rcxEntry = showsProgress ? entry : withoutProgress(tdx, entry, level);
  call.rdx = level | (stateCode(stateOf(entry)) << 8);
}

/**
 * The entry without the progress counter of ACCEPT. The module clears the counter of a 2M PENDING
 * leaf only: one that a promotion carried into a 1G leaf stays, also when that leaf is blocked.
 *
 * Source: intel/tdx-module 1.5.01, src/common/memory_handlers/sept_manager.h:
 * sept_cleanup_if_pending(); measured on 1.5.01 and 1.5.05.
 */
export const withoutProgress = (tdx: TdxModule, e: Entry, level: number): Entry =>
  level === 1 && stateOf(e) === PENDING ? e - (pageOf(e) % tdx.geometry.span(level)) : e;

/** A status about the entry, with operand RCX; some report the entry in RCX and RDX. */
export function aboutEntry(tdx: TdxModule, call: Call, status: S.Status): S.Status {
  const { reporting } = tdx.version;
  if (reporting === null || reporting.has(status)) reportEntry(tdx, call);
  return S.on(status, S.OPERANDS.RCX);
}

/**
 * Walks to a leaf of any size that a guest can access, or returns a status about the entry that
 * stopped the walk.
 */
export function* walkToLeaf(tdx: TdxModule, call: Call, gfn: number): Steps<S.Status> {
  yield* walk(tdx, call, gfn, 0);
  if (isGuestAccessible(call.entry)) return S.SUCCESS;
  const found = call.level === 0 || isLeaf(call.entry);
  return aboutEntry(tdx, call, found ? S.EPT_ENTRY_NOT_PRESENT : tdx.version.noLeaf);
}

/** Walks to `level`, or returns EPT_WALK_FAILED with the entry that stopped the walk. */
export function* walkTo(tdx: TdxModule, call: Call, gfn: number, level: number): Steps<S.Status> {
  return (yield* walk(tdx, call, gfn, level))
    ? S.SUCCESS
    : aboutEntry(tdx, call, S.EPT_WALK_FAILED);
}

/**
 * Locks the entry for the host (bit 11), then rereads it. A refused host call sets the
 * host-priority bit; success clears it. A version without entry locks goes by what the walk read.
 */
export function* lockEntry(tdx: TdxModule, call: Call): Steps<S.Status> {
  // as in lockTree
  if (!tdx.locking(call.name as SeptFunction).entryLock) return S.SUCCESS;
  if (!(yield* tryEntry(tdx, call, call.entryCell))) return aboutEntry(tdx, call, S.OPERAND_BUSY);
  call.hold(HELD_ENTRY, call.entryCell, EXCLUSIVE);
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
    tdx.locks.notify('refused', cell, EXCLUSIVE);
    return false;
  }
  tdx.m.poke(cell, (e | ENTRY_LOCK) & ~HOST_PRIORITY);
  tdx.locks.notify('taken', cell, EXCLUSIVE);
  return true;
}

/** The usual way to an entry: tree lock, walk to `call.askedLevel`, entry lock. */
export function* findEntry(tdx: TdxModule, call: Call, gfn: number): Steps<S.Status> {
  const tree = yield* lockTree(tdx, call);
  if (tree !== S.SUCCESS) return tree;
  const walked = yield* walkTo(tdx, call, gfn, call.askedLevel);
  return walked !== S.SUCCESS ? walked : yield* lockEntry(tdx, call);
}

/**
 * EPT_ENTRY_STATE_INCORRECT, unless the entry is in one of `states`; or what the version's own
 * checks of the function say.
 */
export function requireState(tdx: TdxModule, call: Call, states: StateSet): S.Status {
  const checks = tdx.version.entryChecks.get(call.name);
  if (checks !== undefined) {
    for (const [status, isRefused] of checks)
      if (isRefused(call.entry, call.level)) return aboutEntry(tdx, call, status);
    return S.SUCCESS;
  }
  return among(states, call.entry) ? S.SUCCESS : aboutEntry(tdx, call, S.EPT_ENTRY_STATE_INCORRECT);
}

/**
 * Replaces an entry that a guest may be updating. Under an entry lock this is a plain write.
 * Without one (version 1.0) it is a transaction, which fails when the entry is no longer the value
 * that the call read; returns whether it succeeded.
 */
export function* updateEntry(tdx: TdxModule, call: Call, value: Entry): Steps<boolean> {
  if (call.modeOf(HELD_ENTRY) !== 0) {
    yield* tdx.writeEntry(call, call.entryCell, value);
    return true;
  }
  yield access(call.entryCell, RMW);
  const before = tdx.m.peek(call.entryCell);
  if (before !== call.entry) {
    call.busyLock = call.entryCell;
    return false;
  }
  tdx.m.poke(call.entryCell, value);
  for (const listener of tdx.listeners)
    listener.entryWritten?.(call.entryCell, before, value, call);
  return true;
}

/**
 * The lock bit to include in a write that keeps the entry locked: by this call, or in a version
 * without host locks by a guest.
 */
export const lockBit = (call: Call): number => call.entry & ENTRY_LOCK;

/**
 * Whether every vCPU that may have cached a translation which was blocked in epoch `bepoch` has
 * left the TD or flushed since. TD_EPOCH and REFCOUNT are read in one step.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.h: is_tlb_tracked(); all 108
 * combinations measured: docs/module-notes.md#tlb-tracking. In 1.0.03 bit 63 is a bit like others.
 */
function* isTracked(tdx: TdxModule, call: Call, bepoch: number): Steps<boolean> {
  if (tdx.version.bepochHasFlag && hasBit63(bepoch)) return false;
  const epoch = yield* tdx.m.read(tdCell(tdx, call, TD.TD_EPOCH));
  const previous = (epoch - 1) | 0;
  if (bepoch === previous) return tdGet(tdx, call, refcountOf(bepoch)) === 0;
  return isBefore(bepoch, previous);
}

/**
 * Requires that the entry is blocked and tracked before a function ends a translation of a TD that
 * can run. While the TD is being built, 1.5 requires nothing. `bepoch` is the cell to check.
 *
 * Source: intel/tdx-module 1.5.01, include/auto_gen/op_state_lookup.c: state_flags_lookup;
 * include/auto_gen/sept_state_lookup.c: sept_special_flags_lookup.
 */
export function* requireBlockedAndTracked(
  tdx: TdxModule,
  call: Call,
  bepoch: Cell,
): Steps<S.Status> {
  const { tracksWhileBuilding, trackingNamesTree } = tdx.version;
  const canRun = tracksWhileBuilding || tdGet(tdx, call, TD.OP_STATE) === RUNNABLE;
  if (!canRun || !among(TRACKED, call.entry)) return S.SUCCESS;
  if (!among(ALL_BLOCKED, call.entry)) return aboutEntry(tdx, call, S.GPA_RANGE_NOT_BLOCKED);
  const tracked = yield* isTracked(tdx, call, yield* tdx.m.read(bepoch));
  const operand = trackingNamesTree.has(call.name) ? S.OPERANDS.SEPT_TREE : S.OPERANDS.RCX;
  return tracked ? S.SUCCESS : S.on(S.TLB_TRACKING_NOT_DONE, operand);
}
