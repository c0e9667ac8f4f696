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
import { HELD_BELOW, HELD_ENTRY, HELD_PATHS, HELD_TREE, heldPath, type Call } from './call.ts';
import {
  ALL_BLOCKED,
  among,
  ENTRY_LOCK,
  HOST_PRIORITY,
  isGuestAccessible,
  isLeaf,
  isTable,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  setOf,
  stateOf,
  TRACKED,
  withoutLocks,
  type Entry,
  type StateSet,
} from './entry.ts';
import { hasBit63, isBefore } from './epoch.ts';
import { EXCLUSIVE, SHARED } from './locks.ts';
import type { TdxModule } from './module.ts';
import { tdCell, tdGet } from './operands.ts';
import * as S from './status.ts';
import { refcountOf, RUNNABLE, TD } from './td.ts';
import type { SeptFunction } from './version.ts';

/**
 * Takes the tree lock in the mode of the module version's lock table, if it names one. In a
 * fine-grained version the walk locks instead.
 */
export function* lockTree(tdx: TdxModule, call: Call): Steps<S.Status> {
  // only functions of that table call this
  const { tree, path = false } = tdx.locking(call.name as SeptFunction);
  call.locksPath = path;
  if (tree === null) return S.SUCCESS;
  const taken = yield* tdx.acquire(call, HELD_TREE, tdCell(tdx, call, TD.SEPT_LOCK), tree);
  return taken ? S.SUCCESS : S.on(S.OPERAND_BUSY, S.OPERANDS.SEPT_TREE);
}

/**
 * Walks from the root towards `level`. The walk continues only through an entry that grants a
 * permission and is not a leaf, so a blocked table hides its subtree; in some hypothetical versions
 * not from host calls. Returns whether it reached `level`; `call.table`, `entryCell`, `entry` and
 * `level` are where it ended.
 */
export function* walk(
  tdx: TdxModule,
  call: Call,
  gfn: number,
  level: number,
  through: StateSet = walkedThrough(tdx, call),
): Steps<boolean> {
  let table = tdGet(tdx, call, TD.SEPT_ROOT);
  for (let at = tdGet(tdx, call, TD.ROOT_LEVEL); ; at--) {
    if (call.locksPath && !(yield* lockTable(tdx, call, table, at))) return false;
    const cell = tdx.memory.word(table, tdx.geometry.index(gfn, at));
    const e = yield* tdx.m.read(cell);
    call.table = table;
    call.entryCell = cell;
    call.entry = e;
    call.level = at;
    if (at <= level) return at === level;
    if (!among(through, e)) return false;
    table = pageOf(e);
    if (stateOf(e) === NL_BLOCKED && call.coveredBy < 0) call.coveredBy = tdx.pamt.bepoch(table, 0);
  }
}

/** The states through which guests and the hardware walk. */
export const GUEST_WALK: StateSet = setOf(NL_MAPPED);
const HOST_WALK: StateSet = setOf(NL_MAPPED, NL_BLOCKED);

const walkedThrough = (tdx: TdxModule, call: Call): StateSet =>
  tdx.version.blockedTablesHide || call.in.vcpu >= 0 ? GUEST_WALK : HOST_WALK;

/**
 * Locks a table on the way, shared: the PAMT entry of its page. The entry that led there must still
 * point to it, because the table may have been blocked or removed before it was locked. Returns
 * whether the walk may go on; a refusal is BUSY.
 */
function* lockTable(tdx: TdxModule, call: Call, table: number, level: number): Steps<boolean> {
  const taken = yield* tdx.acquire(call, heldPath(level), tdx.pamt.lock(table, 0), SHARED);
  const isRoot = level === tdGet(tdx, call, TD.ROOT_LEVEL);
  const isUnchanged =
    taken &&
    (isRoot || withoutLocks(yield* tdx.m.read(call.entryCell)) === withoutLocks(call.entry));
  call.pathBusy = !isUnchanged;
  return isUnchanged;
}

/** Releases the tables on the way, the lowest first, before the call ends. */
export function* releasePath(tdx: TdxModule, call: Call): Steps<void> {
  for (const role of HELD_PATHS) yield* tdx.release(call, role);
}

/** BUSY if a table on the way was refused. */
export const pathStatus = (call: Call): S.Status =>
  call.pathBusy ? S.on(S.OPERAND_BUSY, S.OPERANDS.SEPT_TREE) : S.SUCCESS;

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
  if (call.pathBusy) return pathStatus(call);
  if (isGuestAccessible(call.entry)) return S.SUCCESS;
  const found = call.level === 0 || isLeaf(call.entry);
  return aboutEntry(tdx, call, found ? S.EPT_ENTRY_NOT_PRESENT : tdx.version.noLeaf);
}

/** Walks to `level`, or returns EPT_WALK_FAILED with the entry that stopped the walk. */
export function* walkTo(tdx: TdxModule, call: Call, gfn: number, level: number): Steps<S.Status> {
  if (yield* walk(tdx, call, gfn, level)) return S.SUCCESS;
  return call.pathBusy ? pathStatus(call) : aboutEntry(tdx, call, S.EPT_WALK_FAILED);
}

/**
 * Locks the entry for the host (bit 11), then rereads it. A refused host call sets the
 * host-priority bit; success clears it. A version without entry locks goes by what the walk read.
 * In a fine-grained version a function that changes an entry for all that is below it locks the
 * table there as well.
 */
export function* lockEntry(tdx: TdxModule, call: Call): Steps<S.Status> {
  // as in lockTree
  const { entryLock, below = false } = tdx.locking(call.name as SeptFunction);
  if (!entryLock) return S.SUCCESS;
  if (!(yield* tryEntry(tdx, call, call.entryCell))) return aboutEntry(tdx, call, S.OPERAND_BUSY);
  call.hold(HELD_ENTRY, call.entryCell, EXCLUSIVE);
  call.entry = yield* tdx.m.read(call.entryCell);
  if (!below || !isTable(call.entry)) return S.SUCCESS;
  const lock = tdx.pamt.lock(pageOf(call.entry), 0);
  const taken = yield* tdx.acquire(call, HELD_BELOW, lock, EXCLUSIVE);
  return taken ? S.SUCCESS : S.on(S.OPERAND_BUSY, S.OPERANDS.SEPT_TREE);
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
  const { tracksWhileBuilding, trackingNamesTree, blockCoversBelow } = tdx.version;
  const canRun = tracksWhileBuilding || tdGet(tdx, call, TD.OP_STATE) === RUNNABLE;
  if (!canRun || !among(TRACKED, call.entry)) return S.SUCCESS;
  const isCovered = blockCoversBelow && call.coveredBy >= 0;
  if (!isCovered && !among(ALL_BLOCKED, call.entry))
    return aboutEntry(tdx, call, S.GPA_RANGE_NOT_BLOCKED);
  const blockedAt = yield* tdx.m.read(isCovered ? call.coveredBy : bepoch);
  const tracked = yield* isTracked(tdx, call, blockedAt);
  const operand = trackingNamesTree.has(call.name) ? S.OPERANDS.SEPT_TREE : S.OPERANDS.RCX;
  return tracked ? S.SUCCESS : S.on(S.TLB_TRACKING_NOT_DONE, operand);
}
