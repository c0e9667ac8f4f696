/** Records X suspended at each event or compare-and-exchange, in the format of the recordings. */
import type { CallEvent } from '../conflicts/call-trace.ts';
import type {
  ExchangeCell,
  ExchangesCell,
  StepCell,
  SummaryCell,
} from '../conflicts/cell-schemas.ts';
import type { PairMeasurement, PausedOutcome } from '../conflicts/measurement.ts';
import { paddedHex } from '../format/values.ts';
import type { PairName } from '../setups/pairs.ts';

/** A pair by name, without the recording that it is for. */
export type Pair = Omit<PairName, 'recorder'>;

interface At {
  readonly event: CallEvent;
  readonly paused: PausedOutcome;
}

/** The outcomes at the points of X; those that are kept; and the counts of a summary. */
function outcomesAt(
  measured: PairMeasurement,
  points: readonly CallEvent[],
): {
  readonly kept: readonly At[];
  readonly counts: Pick<SummaryCell, 'eventsTried' | 'rowsKept' | 'unchanged' | 'nonAtomicRows'>;
} {
  const { keptEvents } = measured.conventions;
  const outcomes = points.map((event) => ({
    event,
    paused: measured.pausedAt(event.steps, event.acquiring),
  }));
  const changed = outcomes.filter(({ paused }) => !measured.isUnchanged(paused));
  const kept = changed.filter(
    ({ event, paused }) => keptEvents.has(event.event) || !paused.linearizable,
  );
  const counts = {
    eventsTried: outcomes.length,
    rowsKept: kept.length,
    unchanged: outcomes.length - changed.length,
    nonAtomicRows: outcomes.filter(({ paused }) => !paused.linearizable).length,
  };
  return { kept, counts };
}

const aloneOf = ({
  xAlone,
  yBeforeX: yAlone,
  yAfterX,
  xAfterY,
}: PairMeasurement): Pick<StepCell, 'xAlone' | 'yAlone' | 'yAfterX' | 'xAfterY'> => ({
  xAlone,
  yAlone,
  yAfterX,
  xAfterY,
});

/** A summary, then a row for each event at which Y makes a difference. */
export function stepCells(pair: Pair, measured: PairMeasurement): (SummaryCell | StepCell)[] {
  const { kept, counts } = outcomesAt(measured, measured.tried);
  const summary: SummaryCell = {
    summary: true,
    ...pair,
    events: measured.trace?.events.length ?? 0,
    ...counts,
    ...(measured.conventions.comparesState ? aloneOf(measured) : {}),
  };
  return [summary, ...kept.map(({ event, paused }) => stepCell(pair, measured, event, paused))];
}

/** As {@link stepCells}, before each compare-and-exchange of an entry. */
export function exchangeCells(
  pair: Pair,
  measured: PairMeasurement,
): (ExchangesCell | ExchangeCell)[] {
  const points = measured.triedExchanges;
  const { kept, counts } = outcomesAt(measured, points);
  const summary: ExchangesCell = {
    summary: true,
    points: 'beforeCompareExchange',
    ...pair,
    events: points.length,
    ...counts,
  };
  const rows = kept.map(({ event: { index, what, old = 0n }, paused }): ExchangeCell => ({
    ...pair,
    xEvent: { event: 'beforeCompareExchange', number: index, what, value: paddedHex(old) },
    yStatus: paused.yStatus,
    xStatusAfterResume: paused.xStatus,
    ...aloneOf(measured),
    ...entriesOf(measured, paused),
    linearizable: paused.linearizable,
    lockLeak: paused.lockLeak,
  }));
  return [summary, ...rows];
}

const entriesOf = (
  { entryBefore }: PairMeasurement,
  { entryAtPause, entryAfter }: PausedOutcome,
): Pick<StepCell, 'entryAtPause' | 'entryBefore' | 'entryAfter'> => ({
  entryAtPause: paddedHex(entryAtPause),
  entryBefore: paddedHex(entryBefore),
  entryAfter: paddedHex(entryAfter),
});

function stepCell(
  pair: Pair,
  measured: PairMeasurement,
  event: CallEvent,
  paused: PausedOutcome,
): StepCell {
  const { kind, old, new: now } = event;
  const { rowsNameLock } = measured.conventions;
  return {
    ...pair,
    xEventIndex: event.index,
    xEvent: {
      event: event.event,
      what: event.what,
      ...(kind === undefined ? {} : { kind }),
      ...(old === undefined ? {} : { old: paddedHex(old) }),
      ...(now === undefined ? {} : { new: paddedHex(now) }),
    },
    yStatus: paused.yStatus,
    ...(!rowsNameLock || paused.yFailedLock === null ? {} : { yFailedLock: paused.yFailedLock }),
    xStatusAfterResume: paused.xStatus,
    yAlone: measured.yBeforeX,
    yAfterX: measured.yAfterX,
    xAlone: measured.xAlone,
    xAfterY: measured.xAfterY,
    ...(rowsNameLock || pair.xEntry !== null ? entriesOf(measured, paused) : {}),
    linearizable: paused.linearizable,
    lockLeak: paused.lockLeak,
  };
}
