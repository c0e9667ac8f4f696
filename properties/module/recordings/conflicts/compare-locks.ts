/**
 * Compares lock tables: the locks that a call takes and releases when it runs alone, its answer
 * when it finds one of them held, and its writes.
 */
import { EXCLUSIVE, SHARED, type Mode } from '../../../../spec/tdx/locks.ts';
import { supervised } from '../../../checker/module-guard.ts';
import { start, type PairSetup } from '../setups/pair-setup.ts';
import { SetupError, type Testbed } from '../setups/testbed.ts';
import type { LocksCell } from './cell-schemas.ts';
import type { Comparison } from './comparison.ts';
import { stillHeld, traceLocks, type LockStep, type LockTrace } from './lock-trace.ts';
import type { PairMeasurement } from './measurement.ts';
import type { RecordedNames, Snapshot } from './recorded-names.ts';
import { failedLock, statusText } from './status.ts';

const kindName = (mode: Mode): string => (mode === SHARED ? 'SHARED' : 'EXCLUSIVE');

/** An event as lock tables write it. */
interface LockLine {
  readonly event: string;
  readonly lock: string;
  readonly kind: string;
  readonly type: string;
}

const textOf = ({ event, lock, kind, type }: LockLine): string =>
  `${event} ${lock} ${kind}, ${type}`;

export function compareLocks(
  cell: LocksCell,
  setup: PairSetup,
  names: RecordedNames,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  const { testbed } = setup;
  const traced = undone(testbed, () => traceOf(setup, names));
  comparison.field('status', statusIn(cell.status), statusIn(traced.status));
  compareEvents(cell, testbed, names, traced.trace, comparison);
  for (const busy of cell.busy) compareBusy(busy, setup, names, traced.trace, comparison);
  compareWrites(cell, measured, traced, comparison);
}

/** Statuses without what recordings of lock tables leave open. */
const statusIn = (status: string): string =>
  status
    .replace(/^TD_ENTERED$/, 'TDX_SUCCESS')
    .replace(/^\(TD_EXIT\)$/, 'TDX_SUCCESS')
    .replace(/\|\?$/, '')
    .replace(/^(TDX_OPERAND_INVALID)\|RAX$/, '$1')
    .replace(/^(TDX_INCONSISTENT_MSR)\|.*$/, '$1');

interface Traced {
  readonly trace: LockTrace;
  readonly status: string;
  readonly before: readonly Snapshot[];
  readonly after: readonly Snapshot[];
}

/** Returns what `run` returns, and undoes its writes. */
function undone<T>(testbed: Testbed, run: () => T): T {
  const mark = testbed.mark();
  try {
    return run();
  } finally {
    testbed.undo(mark);
  }
}

function traceOf(setup: PairSetup, names: RecordedNames): Traced {
  const { testbed, enterX } = setup;
  enterX();
  const before = names.snapshot();
  const trace = runTraced(setup);
  const status = statusText(trace.call, testbed.conventions);
  return { trace, status, before, after: names.snapshot() };
}

/** Runs X, which has been prepared, to its end. */
function runTraced({ testbed, x }: PairSetup): LockTrace {
  const steps = start(testbed, x);
  if (steps === null) throw new SetupError('a vCPU that only runs makes no call');
  return supervised(testbed.tdx.version, () => traceLocks(testbed, steps));
}

function compareEvents(
  cell: LocksCell,
  { conventions }: Testbed,
  names: RecordedNames,
  { steps }: LockTrace,
  comparison: Comparison,
): void {
  const { seesKeyTable, listsReleasingWrites, lockTypes } = conventions;
  const seen = steps.filter((step) => seesKeyTable || !names.isKeyTable(step.cell));
  const lineOf = ({ what, cell: lock, mode }: LockStep): LockLine => ({
    event: what === 'promote' && listsReleasingWrites ? 'acquire' : what,
    lock: names.lock(lock),
    kind: kindName(mode),
    type: lockTypes[names.lockType(lock)],
  });
  const ours = seen.filter(({ isByWrite }) => listsReleasingWrites || !isByWrite);
  let next = 0;
  cell.events.forEach((recorded, i) => {
    const step = ours[next];
    const line = step === undefined ? undefined : textOf(lineOf(step));
    comparison.field(`events[${i}]`, textOf(recorded), line);
    if (recorded.event === 'acquire')
      comparison.field(
        `events[${i}].promotedFromShared`,
        recorded.promotedFromShared,
        listsReleasingWrites && step?.what === 'promote',
      );
    comparison.field(`events[${i}].byEntryWrite`, recorded.byEntryWrite, step?.isByWrite ?? false);
    next += recorded.count;
  });
  comparison.field('events.length', next, ours.length);

  const written = seen.filter(({ isByWrite }) => isByWrite).map((step) => names.lock(step.cell));
  const { releasedByEntryWrite: listed, releasedByEntryWriteCount: total } = cell;
  comparison.given('releasedByEntryWriteCount', total, written.length);
  const firstOfOurs = written.slice(0, listed?.length).join();
  comparison.given('releasedByEntryWrite', listed?.join(), firstOfOurs);
  const held = stillHeld(seen).map(({ cell: lock, mode }) => [names.lock(lock), kindName(mode)]);
  comparison.field('stillHeldOnReturn.length', cell.stillHeldOnReturn.length, held.length);
  cell.stillHeldOnReturn.forEach((recorded, i) => {
    const [name = '', kind = ''] = held[i] ?? [];
    comparison.field(`stillHeldOnReturn[${i}]`, heldText(recorded, kind), `${name} (${kind})`);
  });
}

/** `name (kind)`; the kind is ours if the recording gives none. */
function heldText(recorded: string | readonly [string, string], ours: string): string {
  if (typeof recorded !== 'string') return `${recorded[0]} (${recorded[1]})`;
  return recorded.endsWith(')') ? recorded : `${recorded} (${ours})`;
}

function compareBusy(
  busy: LocksCell['busy'][number],
  setup: PairSetup,
  names: RecordedNames,
  { steps }: LockTrace,
  comparison: Comparison,
): void {
  const found = steps.find(({ cell }) => names.lock(cell) === busy.lock);
  const field = `busy ${busy.lock}`;
  comparison.field(field, busy.lock, found === undefined ? undefined : names.lock(found.cell));
  if (found === undefined) return;
  const held = (mode: Mode): { status: string; lock: string | null } =>
    undone(setup.testbed, () => {
      const { tdx, conventions } = setup.testbed;
      setup.enterX();
      const type = names.lockType(found.cell);
      if (type === 'entry' || type === 'hardware') throw new Error(`${busy.lock} is no lock word`);
      tdx.locks.tryNow(found.cell, type, mode);
      const { call } = runTraced(setup);
      return { status: statusText(call, conventions), lock: failedLock(names, call) };
    });
  const exclusive = held(EXCLUSIVE);
  comparison.field(`${field}, exclusively`, statusIn(busy.ifHeldExclusively), exclusive.status);
  comparison.given(`${field}, the lock that fails`, busy.failedLockExclusive, exclusive.lock);
  if (busy.ifHeldShared === undefined) return;
  comparison.field(`${field}, shared`, statusIn(busy.ifHeldShared), held(SHARED).status);
}

/**
 * Compares the writes, in order. A word that the specification changes within another step only has
 * to change as recorded; one that it does not have is not compared.
 */
function compareWrites(
  cell: LocksCell,
  measured: PairMeasurement,
  { before, after }: Traced,
  comparison: Comparison,
): void {
  if (cell.writes.length === 0) return;
  const events = measured.trace?.events.filter(({ event }) => event === 'afterWrite') ?? [];
  const inSteps = new Set(events.map(({ what }) => what));
  const known = new Set(before.map(({ name }) => name));
  const ordered = cell.writes.filter(({ what }) => inSteps.has(what));
  comparison.field('writes.length', ordered.length, events.length);
  ordered.forEach((write, i) => {
    const ours = events[i];
    comparison.field(`writes[${i}].what`, write.what, ours?.what);
    if (ours?.isTime === true) {
      comparison.skip('times');
      return;
    }
    comparison.bits(`writes[${i}].old`, write.old, ours?.old);
    comparison.bits(`writes[${i}].new`, write.new, ours?.new);
  });
  for (const { what, old, new: now } of cell.writes) {
    if (inSteps.has(what)) continue;
    if (!known.has(what)) {
      comparison.skip('writes of words that the specification does not have');
      continue;
    }
    const isChanged = before.some(
      ({ name, value }, i) =>
        name === what && value === BigInt(old) && after[i]?.value === BigInt(now),
    );
    comparison.field(`writes of ${what}`, true, isChanged);
  }
}
