/** Records pairs of calls on the specification, as cells of pair recordings. */
import type { ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import type {
  ConflictCell,
  ExchangeCell,
  ExchangesCell,
  LifecycleCell,
  StepCell,
  SummaryCell,
} from '../conflicts/cell-schemas.ts';
import { PairMeasurement, type PausedOutcome } from '../conflicts/measurement.ts';
import { RecordedNames } from '../conflicts/recorded-names.ts';
import { paddedHex } from '../format/values.ts';
import { setUpLifecyclePair, type LifecyclePairName } from '../setups/lifecycle.ts';
import { RUNNING_VCPU, type PairSetup } from '../setups/pair-setup.ts';
import { setUpPair } from '../setups/pairs.ts';
import { builtTds, emptySlots, SetupError, Testbed } from '../setups/testbed.ts';
import { exchangeCells, stepCells, type Pair } from './record-steps.ts';

/** A cell has `tdStageY` only if Y is about another TD, and cases only in recordings of 1.0. */
export type GeneratedLifecycleCell = Omit<LifecycleCell, 'tdStageY' | 'xCase' | 'yCase'> & {
  readonly tdStageY?: string;
  readonly xCase?: string;
  readonly yCase?: string;
};

/** Number of locks that recordings of 1.5 report for a vCPU that only runs in the guest. */
const RUNNING_LOCKS = { conflict: 1, lifecycle: 0 } as const;
const ON_GUEST_SIDE: ReadonlySet<string> = new Set([RUNNING_VCPU, 'TDG.MEM.PAGE.ACCEPT']);

export class CellRecorder {
  private readonly built: Testbed;
  private readonly builtNames: RecordedNames;
  private readonly empty: Testbed;
  private readonly emptyNames: RecordedNames;

  constructor(version: ModuleVersion) {
    this.built = new Testbed(builtTds, version);
    this.builtNames = new RecordedNames(this.built.u);
    this.empty = new Testbed(emptySlots, version);
    this.emptyNames = new RecordedNames(this.empty.u);
  }

  /** The cell of `conflicts.json`, or null if the set-up cannot be built. */
  conflict(pair: Pair): ConflictCell | null {
    return withUndo(this.built, () => {
      const setup = setUpPair(this.built, { ...pair, recorder: 'conflicts' });
      return conflictCell(pair, setup, new PairMeasurement(setup, this.builtNames));
    });
  }

  /** The cell of `lifecycle-conflicts.json`, or null if the set-up cannot be built. */
  lifecycle(pair: LifecyclePairName): GeneratedLifecycleCell | null {
    return withUndo(this.empty, () => {
      const setup = setUpLifecyclePair(this.empty, pair);
      return lifecycleCell(pair, new PairMeasurement(setup, this.emptyNames));
    });
  }

  /**
   * The lines of `stepwise.jsonl`: a summary, then a row for each event at which Y makes a
   * difference. Null if the set-up cannot be built, or X makes no call.
   */
  steps(pair: Pair): (SummaryCell | StepCell)[] | null {
    return this.stepwise(pair, (measured) => stepCells(pair, measured));
  }

  /** As {@link steps}, before each compare-and-exchange; null also if X makes none. */
  exchanges(pair: Pair): (ExchangesCell | ExchangeCell)[] | null {
    return this.stepwise(pair, (measured) =>
      measured.triedExchanges.length === 0 ? null : exchangeCells(pair, measured),
    );
  }

  private stepwise<T>(pair: Pair, make: (measured: PairMeasurement) => T | null): T | null {
    return withUndo(this.built, () => {
      const setup = setUpPair(this.built, { ...pair, recorder: 'stepwise' });
      const measured = new PairMeasurement(setup, this.builtNames);
      return measured.trace === null ? null : make(measured);
    });
  }
}

/** Returns what `make` returns and undoes its writes; null if the set-up cannot be built. */
function withUndo<T>(testbed: Testbed, make: () => T): T | null {
  const mark = testbed.mark();
  try {
    return make();
  } catch (error) {
    if (error instanceof SetupError) return null;
    throw error;
  } finally {
    testbed.undo(mark);
  }
}

/** The fields about a suspended X, in the order of the recordings. */
function suspended(
  measured: PairMeasurement,
  paused: PausedOutcome,
  locks: number,
): {
  before: Pick<ConflictCell, 'xLocksHeldAtPause' | 'xAlone' | 'yAlone' | 'yStatus'>;
  failed: Pick<ConflictCell, 'yFailedLock' | 'yFailedLockKind'>;
  after: Pick<ConflictCell, 'blockedByX' | 'xStatusAfterResume'>;
} {
  const { xAlone, yAlone } = measured;
  const { yStatus, yFailedLock, yFailedLockKind } = paused;
  return {
    before: { xLocksHeldAtPause: locks, xAlone, yAlone, yStatus },
    failed: { yFailedLock, ...(yFailedLockKind === null ? {} : { yFailedLockKind }) },
    after: { blockedByX: yStatus !== yAlone, xStatusAfterResume: paused.xStatus },
  };
}

const hasChanged = (measured: PairMeasurement, { xStatus }: PausedOutcome): boolean =>
  xStatus !== measured.xAlone;

function conflictCell(pair: Pair, setup: PairSetup, measured: PairMeasurement): ConflictCell {
  const { comparesState, walksToEntry } = measured.conventions;
  const paused = measured.pausedAt(measured.trace?.lastAcquire ?? 0);
  const locks = measured.locksAtPause ?? RUNNING_LOCKS.conflict;
  const { before, failed, after } = suspended(measured, paused, locks);
  const isCall = setup.x.name !== null;
  const isWatched = pair.xEntry !== null && setup.watched() >= 0;
  const watches = isWatched && (walksToEntry || pair.relation === 'sameEntry');
  const raxOfGuest = setup.y.operands.vcpu >= 0 && !comparesState;
  return {
    ...pair,
    ...before,
    yStatusRaw: paddedHex(paused.yRax),
    ...failed,
    ...(raxOfGuest ? { guestRax: paddedHex(paused.yRax) } : {}),
    ...after,
    ...(comparesState && isCall
      ? { xChanged: hasChanged(measured, paused), linearizable: paused.linearizable }
      : {}),
    ...(watches
      ? {
          entryWhilePaused: paddedHex(paused.entryWhilePaused),
          entryAfter: paddedHex(paused.entryAfter),
        }
      : {}),
  };
}

function lifecycleCell(pair: LifecyclePairName, measured: PairMeasurement): GeneratedLifecycleCell {
  const trace = ON_GUEST_SIDE.has(pair.x) ? null : measured.trace;
  const paused = measured.pausedAt(trace?.lastAcquire ?? 0);
  const locks = trace === null ? null : measured.locksAtPause;
  const { before, failed, after } = suspended(measured, paused, locks ?? RUNNING_LOCKS.lifecycle);
  const { tdStageY, ...named } = pair;
  const { linearizable } = paused;
  return {
    ...named,
    ...(tdStageY === null ? {} : { tdStageY }),
    ...before,
    ...failed,
    ...after,
    xChanged: hasChanged(measured, paused),
    ...(measured.conventions.comparesState ? { linearizable } : {}),
  };
}
