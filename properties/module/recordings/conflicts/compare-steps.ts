/**
 * Compares cells in which X is suspended at an event, a compare-and-exchange or a load, and cells
 * of a call that runs alone.
 */
import { isListed, type CallEvent } from './call-trace.ts';
import type {
  ExchangeCell,
  ExchangesCell,
  OrderCell,
  ReadCell,
  ReadsCell,
  StepCell,
  SummaryCell,
} from './cell-schemas.ts';
import type { Comparison } from './comparison.ts';
import type { PairMeasurement, PausedOutcome } from './measurement.ts';
import { withoutDetails } from './status.ts';

interface RecordedEvent {
  readonly event: string;
  readonly what: string;
  readonly kind?: string | undefined;
  readonly old?: string | undefined;
  readonly new?: string | undefined;
}

function compareEvent(
  comparison: Comparison,
  field: string,
  recorded: RecordedEvent,
  ours: CallEvent | undefined,
): void {
  comparison.field(`${field}.event`, recorded.event, ours?.event);
  comparison.field(`${field}.what`, recorded.what, ours?.what);
  comparison.given(`${field}.kind`, recorded.kind, ours?.kind);
  if (ours?.isTime === true) {
    comparison.skip('times');
    return;
  }
  comparison.bits(`${field}.old`, recorded.old, ours?.old);
  comparison.bits(`${field}.new`, recorded.new, ours?.new);
}

type Row = StepCell | ExchangeCell | ReadCell;

/** Compares the statuses without an interruption. */
function compareAlone(
  cell: Pick<SummaryCell, 'xAlone' | 'yAlone' | 'xAfterY' | 'yAfterX'>,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  comparison.given('xAlone', cell.xAlone, measured.xAlone);
  comparison.given('yAlone', cell.yAlone, measured.yBeforeX);
  comparison.given('xAfterY', cell.xAfterY, measured.xAfterY);
  comparison.given('yAfterX', cell.yAfterX, measured.yAfterX);
}

function compareOutcome(cell: Row, paused: PausedOutcome, comparison: Comparison): void {
  comparison.field('yStatus', withoutDetails(cell.yStatus), paused.yStatus);
  const xStatus = withoutDetails(cell.xStatusAfterResume);
  comparison.field('xStatusAfterResume', xStatus, paused.xStatus);
  comparison.field('linearizable', cell.linearizable, paused.linearizable);
}

/**
 * Compares what is alike wherever X is suspended: both calls alone, and what comes of Y at `point`,
 * which X may not have.
 */
function comparePaused(
  cell: StepCell | ExchangeCell,
  measured: PairMeasurement,
  point: Pick<CallEvent, 'steps' | 'acquiring'> | undefined,
  comparison: Comparison,
): PausedOutcome | null {
  comparison.bits('entryBefore', cell.entryBefore, measured.entryBefore);
  compareAlone(cell, measured, comparison);
  if (point === undefined) return null;
  const paused = measured.pausedAt(point.steps, point.acquiring);
  compareOutcome(cell, paused, comparison);
  comparison.bits('entryAtPause', cell.entryAtPause, paused.entryAtPause);
  comparison.bits('entryAfter', cell.entryAfter, paused.entryAfter);
  comparison.field('lockLeak', cell.lockLeak, paused.lockLeak);
  return paused;
}

/** X is suspended at one of its events. */
export function compareStep(
  cell: StepCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  const event = measured.trace?.events[cell.xEventIndex - 1];
  compareEvent(comparison, 'xEvent', cell.xEvent, event);
  const paused = comparePaused(cell, measured, event, comparison);
  if (paused === null) return;
  if (measured.conventions.rowsNameLock || cell.yFailedLock !== undefined)
    comparison.field('yFailedLock', cell.yFailedLock ?? null, paused.yFailedLock);
}

interface Outcomes {
  readonly tried: number;
  readonly unchanged: number;
  readonly nonAtomic: number;
  readonly kept: number;
}

function outcomesAt(measured: PairMeasurement, events: readonly CallEvent[]): Outcomes {
  const outcomes = events.map((event) => ({
    name: event.event,
    paused: measured.pausedAt(event.steps, event.acquiring),
  }));
  const changed = outcomes.filter(({ paused }) => !measured.isUnchanged(paused));
  const isKept = measured.conventions.keptEvents;
  return {
    tried: outcomes.length,
    unchanged: outcomes.length - changed.length,
    nonAtomic: outcomes.filter(({ paused }) => !paused.linearizable).length,
    kept: changed.filter(({ name, paused }) => isKept.has(name) || !paused.linearizable).length,
  };
}

/** Compares the counts over all events of X at which Y was tried. The rows are a part of them. */
export function compareSummary(
  cell: SummaryCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  const ours = outcomesAt(measured, measured.tried);
  comparison.field('events', cell.events, measured.trace?.events.length);
  compareCounts(cell, ours, comparison);
  compareAlone(cell, measured, comparison);
}

function compareCounts(
  cell: SummaryCell | ExchangesCell,
  ours: Outcomes,
  comparison: Comparison,
): void {
  comparison.field('eventsTried', cell.eventsTried, ours.tried);
  comparison.field('unchanged', cell.unchanged, ours.unchanged);
  comparison.field('rowsKept', cell.rowsKept, ours.kept);
  comparison.field('nonAtomicRows', cell.nonAtomicRows, ours.nonAtomic);
}

/** X is suspended before its n-th compare-and-exchange of an entry. */
export function compareExchange(
  cell: ExchangeCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  const point = measured.trace?.exchanges[cell.xEvent.number - 1];
  comparison.field('xEvent.what', cell.xEvent.what, point?.what);
  comparison.bits('xEvent.value', cell.xEvent.value, point?.old);
  comparePaused(cell, measured, point, comparison);
}

export function compareExchanges(
  cell: ExchangesCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  comparison.field('events', cell.events, measured.triedExchanges.length);
  compareCounts(cell, outcomesAt(measured, measured.triedExchanges), comparison);
}

/**
 * X is suspended before a load. The specification reads some words together, so that it has fewer
 * loads: the outcome has to be one of those at any of its steps.
 */
export function compareRead(
  cell: ReadCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  comparison.skip('the position of a load');
  compareAlone(cell, measured, comparison);
  const points = measured.anywhere;
  const nearest = points.find(
    (paused) =>
      paused.yStatus === withoutDetails(cell.yStatus) &&
      paused.xStatus === withoutDetails(cell.xStatusAfterResume) &&
      paused.linearizable === cell.linearizable,
  );
  if (nearest === undefined) compareOutcome(cell, measured.pausedAt(0), comparison);
}

/** Whether some load of X is not atomic with the rest of it. */
export function compareReads(
  cell: ReadsCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  comparison.skip('the number of loads, and of those with a change');
  const isAtomic = measured.anywhere.every(({ linearizable }) => linearizable);
  comparison.field('nonAtomicRows is 0', cell.nonAtomicRows === 0, isAtomic);
}

/** Compares a call that runs alone: the whole order of its acquires, writes and releases. */
export function compareOrder(
  cell: OrderCell,
  measured: PairMeasurement,
  comparison: Comparison,
): void {
  const events = measured.conventions.samplesLongCalls ? measured.trace?.events : measured.tried;
  const ours = (events ?? []).filter(isListed);
  comparison.field('status', cell.status, measured.xAlone);
  comparison.field('events.length', cell.events.length, ours.length);
  cell.events.forEach((recorded, i) => {
    comparison.field(`events[${i}].i`, recorded.i, ours[i]?.index);
    compareEvent(comparison, `events[${i}]`, recorded, ours[i]);
  });
}
