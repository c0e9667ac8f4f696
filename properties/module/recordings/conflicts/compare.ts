/** Compares each field of a cell of a pair recording with the specification's run of its set-up. */
import type { PairSetup } from '../setups/pair-setup.ts';
import { isListed, type CallEvent } from './call-trace.ts';
import type {
  ConflictCell,
  LifecycleCell,
  OrderCell,
  RecordedCell,
  StepCell,
  SummaryCell,
} from './format.ts';
import type { PairMeasurement, PausedOutcome } from './measurement.ts';
import { withoutDetails } from './status.ts';

/** A field in which a cell and the specification differ. */
export interface FieldDifference {
  readonly field: string;
  readonly recorded: string;
  readonly ours: string;
}

/** The fields of a cell that differ. */
export function compareCell(
  { kind, cell }: RecordedCell,
  setup: PairSetup,
  measured: PairMeasurement,
): FieldDifference[] {
  const differences: FieldDifference[] = [];
  const compare: Compare = (field, recorded, ours) => {
    if (recorded !== ours) differences.push({ field, recorded: show(recorded), ours: show(ours) });
  };
  switch (kind) {
    case 'conflict':
      compareConflict(cell, measured, compare);
      break;
    case 'lifecycle':
      compareLifecycle(cell, setup, measured, compare);
      break;
    case 'step':
      compareStep(cell, measured, compare);
      break;
    case 'summary':
      compareSummary(cell, measured, compare);
      break;
    case 'order':
      compareOrder(cell, measured, compare);
      break;
  }
  return differences;
}

type Value = string | number | boolean | bigint | null | undefined;
type Compare = (field: string, recorded: Value, ours: Value) => void;

const show = (value: Value): string =>
  typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value ?? 'absent');

/** Compares a 64-bit value, if the cell has it. */
function compareBits(
  compare: Compare,
  field: string,
  recorded: string | undefined,
  ours: bigint | undefined,
): void {
  if (recorded !== undefined) compare(field, BigInt(recorded), ours);
}

/** Compares the fields of both kinds of conflict cells. X is suspended after `steps` steps. */
function compareSuspended(
  cell: ConflictCell | LifecycleCell,
  measured: PairMeasurement,
  steps: number,
  locks: number | null,
  compare: Compare,
): PausedOutcome {
  const paused = measured.pausedAt(steps);
  compare('xAlone', cell.xAlone, measured.xAlone);
  compare('yAlone', cell.yAlone, measured.yAlone);
  if (locks !== null) compare('xLocksHeldAtPause', cell.xLocksHeldAtPause, locks);
  compare('yStatus', withoutDetails(cell.yStatus), paused.yStatus);
  compare('yFailedLock', cell.yFailedLock ?? null, paused.yFailedLock);
  compare('yFailedLockKind', cell.yFailedLockKind ?? null, paused.yFailedLockKind);
  compare('blockedByX', cell.blockedByX, paused.yStatus !== measured.yAlone);
  compare('xStatusAfterResume', withoutDetails(cell.xStatusAfterResume), paused.xStatus);
  return paused;
}

/** X is suspended right after its last acquisition. */
function compareConflict(cell: ConflictCell, measured: PairMeasurement, compare: Compare): void {
  const { trace } = measured;
  const paused = compareSuspended(
    cell,
    measured,
    trace?.lastAcquire ?? 0,
    trace?.acquired ?? null,
    compare,
  );
  compareBits(compare, 'yStatusRaw', cell.yStatusRaw, paused.yRax);
  compareBits(compare, 'entryWhilePaused', cell.entryWhilePaused, paused.entryWhilePaused);
  compareBits(compare, 'entryAfter', cell.entryAfter, paused.entryAfter);
  compareBits(compare, 'guestRax', cell.guestRax, paused.yRax);
}

/** As for conflicts, but a call of a guest is not suspended: its vCPU only runs in the guest. */
function compareLifecycle(
  cell: LifecycleCell,
  setup: PairSetup,
  measured: PairMeasurement,
  compare: Compare,
): void {
  const trace = setup.x.operands.vcpu >= 0 ? null : measured.trace;
  const paused = compareSuspended(
    cell,
    measured,
    trace?.lastAcquire ?? 0,
    trace?.acquired ?? null,
    compare,
  );
  compare('xChanged', cell.xChanged, paused.xStatus !== measured.xAlone);
}

interface RecordedEvent {
  readonly event: string;
  readonly what: string;
  readonly kind?: string | undefined;
  readonly old?: string | undefined;
  readonly new?: string | undefined;
}

function compareEvent(
  compare: Compare,
  field: string,
  recorded: RecordedEvent,
  ours: CallEvent | undefined,
): void {
  compare(`${field}.event`, recorded.event, ours?.event);
  compare(`${field}.what`, recorded.what, ours?.what);
  if (recorded.kind !== undefined) compare(`${field}.kind`, recorded.kind, ours?.kind);
  compareBits(compare, `${field}.old`, recorded.old, ours?.old);
  compareBits(compare, `${field}.new`, recorded.new, ours?.new);
}

/** X is suspended at one of its events. */
function compareStep(cell: StepCell, measured: PairMeasurement, compare: Compare): void {
  const event = measured.trace?.events[cell.xEventIndex - 1];
  compareEvent(compare, 'xEvent', cell.xEvent, event);
  compareBits(compare, 'entryBefore', cell.entryBefore, measured.entryBefore);
  compare('xAlone', cell.xAlone, measured.xAlone);
  compare('yAlone', cell.yAlone, measured.yBeforeX);
  compare('xAfterY', cell.xAfterY, measured.xAfterY);
  compare('yAfterX', cell.yAfterX, measured.yAfterX);
  if (event === undefined) return;
  const paused = measured.pausedAt(event.steps, event.acquiring);
  compare('yStatus', withoutDetails(cell.yStatus), paused.yStatus);
  compare('xStatusAfterResume', withoutDetails(cell.xStatusAfterResume), paused.xStatus);
  compare('yFailedLock', cell.yFailedLock ?? null, paused.yFailedLock);
  compareBits(compare, 'entryAtPause', cell.entryAtPause, paused.entryAtPause);
  compareBits(compare, 'entryAfter', cell.entryAfter, paused.entryAfter);
  compare('linearizable', cell.linearizable, paused.linearizable);
  compare('lockLeak', cell.lockLeak, paused.lockLeak);
}

/** Compares the counts over all events of X at which Y was tried. The rows are a part of them. */
function compareSummary(cell: SummaryCell, measured: PairMeasurement, compare: Compare): void {
  const outcomes = measured.tried.map((event) => measured.pausedAt(event.steps, event.acquiring));
  const unchanged = outcomes.filter((paused) => measured.isUnchanged(paused)).length;
  compare('events', cell.events, measured.trace?.events.length);
  compare('eventsTried', cell.eventsTried, outcomes.length);
  compare('unchanged', cell.unchanged, unchanged);
  compare('rowsKept', cell.rowsKept, outcomes.length - unchanged);
  compare(
    'nonAtomicRows',
    cell.nonAtomicRows,
    outcomes.filter((paused) => !paused.linearizable).length,
  );
}

/** Compares a call that runs alone: the whole order of its acquires, writes and releases. */
function compareOrder(cell: OrderCell, measured: PairMeasurement, compare: Compare): void {
  const ours = measured.tried.filter(isListed);
  compare('status', cell.status, measured.xAlone);
  compare('events.length', cell.events.length, ours.length);
  cell.events.forEach((recorded, i) => {
    compare(`events[${i}].i`, recorded.i, ours[i]?.index);
    compareEvent(compare, `events[${i}]`, recorded, ours[i]);
  });
}
