/**
 * Writes down what the specification makes of pairs of calls, as the cells that the recordings have
 * for them.
 */
import type { ConflictCell, LifecycleCell, StepCell, SummaryCell } from '../conflicts/format.ts';
import { Measured, type Paused } from '../conflicts/measure.ts';
import { Names } from '../conflicts/names.ts';
import type { TraceEvent } from '../conflicts/trace.ts';
import { setLifecyclePair, type LifecyclePairName } from '../setups/lifecycle.ts';
import { setPair, type PairName } from '../setups/pairs.ts';
import { RUNNING_VCPU, type Scene } from '../setups/scene.ts';
import { BUILT_TDS, EMPTY_SLOTS, SetupError, Stage } from '../setups/setups.ts';

/** A pair by name, without the recording that it is for. */
export type Pair = Omit<PairName, 'recorder'>;

/** A TD of Y's own has a stage of its own. */
export type OwnLifecycleCell = Omit<LifecycleCell, 'tdStageY'> & { readonly tdStageY?: string };

/**
 * Locks that a vCPU in the guest is said to hold, which is not suspended: the recorders did not
 * agree.
 */
const RUNNING_LOCKS = { conflict: 1, lifecycle: 0 } as const;
const ON_GUEST_SIDE: ReadonlySet<string> = new Set([RUNNING_VCPU, 'TDG.MEM.PAGE.ACCEPT']);

export class CellRecorder {
  private readonly built = new Stage(BUILT_TDS);
  private readonly builtNames = new Names(this.built.u);
  private readonly empty = new Stage(EMPTY_SLOTS);
  private readonly emptyNames = new Names(this.empty.u);

  /** The cell of `conflicts.json`, or null when there is no such set-up. */
  conflict(pair: Pair): ConflictCell | null {
    return onStage(this.built, () => {
      const scene = setPair(this.built, { ...pair, recorder: 'conflicts' });
      return conflictCell(pair, scene, new Measured(scene, this.builtNames));
    });
  }

  /** The cell of `lifecycle-conflicts.json`, or null. */
  lifecycle(pair: LifecyclePairName): OwnLifecycleCell | null {
    return onStage(this.empty, () => {
      const scene = setLifecyclePair(this.empty, pair);
      return lifecycleCell(pair, new Measured(scene, this.emptyNames));
    });
  }

  /**
   * The lines of `stepwise.jsonl`: a summary, then a row for each event at which Y makes a
   * difference; or null.
   */
  steps(pair: Pair): (SummaryCell | StepCell)[] | null {
    return onStage(this.built, () => {
      const scene = setPair(this.built, { ...pair, recorder: 'stepwise' });
      const measured = new Measured(scene, this.builtNames);
      return measured.trace === null ? null : stepCells(pair, measured);
    });
  }
}

/** What `make` makes, after which the stage is as before; null when the set-up cannot be built. */
function onStage<T>(stage: Stage, make: () => T): T | null {
  const mark = stage.mark();
  try {
    return make();
  } catch (error) {
    if (error instanceof SetupError) return null;
    throw error;
  } finally {
    stage.undo(mark);
  }
}

const padded = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;

/** What X and Y answer while X is suspended after so many steps, in the order of the recordings. */
function suspended(
  measured: Measured,
  paused: Paused,
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

function conflictCell(pair: Pair, scene: Scene, measured: Measured): ConflictCell {
  const paused = measured.pausedAt(measured.trace?.lastAcquire ?? 0);
  const { before, failed, after } = suspended(
    measured,
    paused,
    measured.trace?.acquired ?? RUNNING_LOCKS.conflict,
  );
  const watches = pair.relation === 'sameEntry' && pair.xEntry !== null && scene.watched() >= 0;
  return {
    ...pair,
    ...before,
    yStatusRaw: padded(paused.yRax),
    ...failed,
    ...(scene.y.operands.vcpu < 0 ? {} : { guestRax: padded(paused.yRax) }),
    ...after,
    ...(watches
      ? { entryWhilePaused: padded(paused.entryWhilePaused), entryAfter: padded(paused.entryAfter) }
      : {}),
  };
}

function lifecycleCell(pair: LifecyclePairName, measured: Measured): OwnLifecycleCell {
  const trace = ON_GUEST_SIDE.has(pair.x) ? null : measured.trace;
  const paused = measured.pausedAt(trace?.lastAcquire ?? 0);
  const { before, failed, after } = suspended(
    measured,
    paused,
    trace?.acquired ?? RUNNING_LOCKS.lifecycle,
  );
  const { tdStageY, ...named } = pair;
  return {
    ...named,
    ...(tdStageY === null ? {} : { tdStageY }),
    ...before,
    ...failed,
    ...after,
    xChanged: paused.xStatus !== measured.xAlone,
  };
}

function stepCells(pair: Pair, measured: Measured): (SummaryCell | StepCell)[] {
  const outcomes = measured.tried.map((event) => ({
    event,
    paused: measured.pausedAt(event.steps, event.acquiring),
  }));
  const kept = outcomes.filter(({ paused }) => !measured.isUnchanged(paused));
  const summary: SummaryCell = {
    summary: true,
    ...pair,
    events: measured.trace?.events.length ?? 0,
    eventsTried: outcomes.length,
    rowsKept: kept.length,
    unchanged: outcomes.length - kept.length,
    nonAtomicRows: outcomes.filter(({ paused }) => !paused.linearizable).length,
  };
  return [summary, ...kept.map(({ event, paused }) => stepCell(pair, measured, event, paused))];
}

function stepCell(pair: Pair, measured: Measured, event: TraceEvent, paused: Paused): StepCell {
  const { kind, old, new: now } = event;
  return {
    ...pair,
    xEventIndex: event.index,
    xEvent: {
      event: event.event,
      what: event.what,
      ...(kind === undefined ? {} : { kind }),
      ...(old === undefined ? {} : { old: padded(old) }),
      ...(now === undefined ? {} : { new: padded(now) }),
    },
    yStatus: paused.yStatus,
    ...(paused.yFailedLock === null ? {} : { yFailedLock: paused.yFailedLock }),
    xStatusAfterResume: paused.xStatus,
    yAlone: measured.yBeforeX,
    yAfterX: measured.yAfterX,
    xAlone: measured.xAlone,
    xAfterY: measured.xAfterY,
    entryAtPause: padded(paused.entryAtPause),
    entryBefore: padded(measured.entryBefore),
    entryAfter: padded(paused.entryAfter),
    linearizable: paused.linearizable,
    lockLeak: paused.lockLeak,
  };
}
