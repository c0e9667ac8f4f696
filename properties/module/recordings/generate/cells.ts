/**
 * Pairs of calls of our own. Every function meets every other, set up in a few ways; of what comes
 * out, all that is new is kept, and some of the rest.
 */
import type { ConflictCell, StepCell, SummaryCell } from '../conflicts/format.ts';
import { FUNCTION_NAMES, functionRow, hasEntry, usualEntry } from '../setups/functions.ts';
import { LIFECYCLE_FUNCTION_NAMES } from '../setups/lifecycle.ts';
import { RUNNING_VCPU } from '../setups/pair-setup.ts';
import { STAGE_NAMES } from '../setups/stages.ts';
import { CellRecorder, type OwnLifecycleCell, type Pair } from './record-cells.ts';
import { withDice, type Dice } from './rng.ts';

/**
 * In a hundred set-ups that show nothing new, so many are kept; and never more than so many cells,
 * or lines.
 */
const KEPT = 6;
const MOST_CELLS = 220;
const MOST_LINES = 1000;
const CONFLICT_DRAWS = 3;
const STEP_CHANCE = 50;

type Weighted = readonly (readonly [weight: number, name: string])[];

const CONFLICT_RELATIONS: Weighted = [
  [6, 'sameEntry'],
  [2, 'sameSeptPageDifferentEntry'],
  [2, 'yOnParentEntryOfX'],
  [1, 'yOnChildEntryOfX'],
  [1, 'different1G'],
  [1, 'differentTD'],
  [2, 'samePhysical4KOperand'],
  [1, 'y4KOperandInsideX2MOperand'],
  [1, 'sameVCPUotherLP'],
];
const STEP_RELATIONS: Weighted = [
  [6, 'sameEntry'],
  [1, 'yOnParentEntry'],
  [1, 'yOnChildEntry'],
  [2, 'samePhysicalPage'],
  [1, 'sameSeptPageOtherEntry'],
];
const LIFECYCLE_RELATIONS: Weighted = [
  [6, 'sameTD'],
  [3, 'otherTD'],
  [2, 'samePageOperand'],
  [1, 'sameVCPU'],
  [1, 'sameHKID'],
];
const PLACES: ReadonlyMap<string, string> = new Map([
  ['yOnParentEntryOfX', 'L1 parent'],
  ['yOnParentEntry', 'L1 parent'],
  ['yOnChildEntryOfX', 'L0 child'],
  ['yOnChildEntry', 'L0 child'],
]);

/** Cells of `conflicts.json`. */
export const conflictCells = (seed: number): ConflictCell[] =>
  withDice(seed, (dice) => {
    const recorder = new CellRecorder();
    const keeper = new Novelties<ConflictCell>(dice, MOST_CELLS);
    for (const [x, y] of dice.shuffled(pairsOf(FUNCTION_NAMES))) {
      for (let i = 0; i < CONFLICT_DRAWS; i++) {
        const cell = recorder.conflict(drawPair(dice, x, y, CONFLICT_RELATIONS));
        if (cell !== null)
          keeper.offer(cell, [
            `${y} ${cell.yStatus} ${lockClass(cell.yFailedLock)} ${cell.blockedByX}`,
          ]);
      }
    }
    return keeper.kept;
  });

/** Cells of `lifecycle-conflicts.json`. */
export const lifecycleCells = (seed: number): OwnLifecycleCell[] =>
  withDice(seed, (dice) => {
    const recorder = new CellRecorder();
    const keeper = new Novelties<OwnLifecycleCell>(dice, MOST_CELLS);
    for (const [x, y] of dice.shuffled(pairsOf(LIFECYCLE_FUNCTION_NAMES))) {
      const relation = dice.weighted(LIFECYCLE_RELATIONS);
      const isOther = relation === 'otherTD' || relation === 'sameHKID';
      const tdStageX = dice.pick(STAGE_NAMES);
      const cell = recorder.lifecycle({
        x,
        y,
        relation,
        tdStageX,
        tdStageY: isOther ? dice.pick(STAGE_NAMES) : null,
      });
      if (cell !== null)
        keeper.offer(cell, [
          `${y} ${cell.yStatus} ${lockClass(cell.yFailedLock)}`,
          `${x} ${tdStageX}`,
        ]);
    }
    return keeper.kept;
  });

/** Lines of `stepwise.jsonl`. All rows of a pair are kept, or none. */
export const stepLines = (seed: number): (SummaryCell | StepCell)[] =>
  withDice(seed, (dice) => {
    const recorder = new CellRecorder();
    const seen = new Set<string>();
    const lines: (SummaryCell | StepCell)[] = [];
    for (const [x, y] of dice
      .shuffled(pairsOf(FUNCTION_NAMES))
      .filter(() => dice.percent(STEP_CHANCE))) {
      const cells = recorder.steps(drawPair(dice, x, y, STEP_RELATIONS)) ?? [];
      const news = cells.map((cell) =>
        'xEvent' in cell ? `${y} ${cell.yStatus} ${cell.linearizable}` : `${x} as X`,
      );
      if (news.every((key) => seen.has(key)) || lines.length + cells.length > MOST_LINES) continue;
      for (const key of news) seen.add(key);
      lines.push(...cells);
    }
    return lines;
  });

/** X with Y; a vCPU that merely runs is no Y. */
const pairsOf = (names: readonly string[]): (readonly [x: string, y: string])[] =>
  names.flatMap((x) => names.filter((y) => y !== RUNNING_VCPU).map((y) => [x, y] as const));

/** A way to set up X and Y, whether or not it can be built. */
function drawPair(dice: Dice, x: string, y: string, relations: Weighted): Pair {
  const relation = dice.weighted(relations);
  const opState = dice.percent(75) ? 'RUNNABLE' : 'INITIALIZED';
  const entryOf = (name: string): string | null => {
    const row = functionRow(name);
    return hasEntry(row) ? usualEntry(row, opState) : null;
  };
  const own = { x: entryOf(x), y: entryOf(y) };
  const shared = dice.percent(60) ? (own.x ?? own.y) : (own.y ?? own.x);
  if (relation === 'sameEntry') {
    return {
      x,
      y,
      relation,
      opState,
      xEntry: own.x === null ? null : shared,
      yEntry: own.y === null ? null : shared,
    };
  }
  return { x, y, relation, opState, xEntry: own.x, yEntry: PLACES.get(relation) ?? own.y };
}

/** A lock without its address. */
const lockClass = (lock: string | null | undefined): string =>
  (lock ?? 'none').replace(/[[(0-9].*$/, '');

/** Keeps what shows something new. */
class Novelties<T> {
  readonly kept: T[] = [];
  private readonly seen = new Set<string>();
  private readonly dice: Dice;
  private readonly most: number;

  constructor(dice: Dice, most: number) {
    this.dice = dice;
    this.most = most;
  }

  /** `shows`: what there is to see, in words. */
  offer(item: T, shows: readonly string[]): void {
    const isNew = shows.some((what) => !this.seen.has(what));
    for (const what of shows) this.seen.add(what);
    if (this.kept.length < this.most && (isNew || this.dice.percent(KEPT))) this.kept.push(item);
  }
}
