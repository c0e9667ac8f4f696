/**
 * Generates pairs of calls. Every function meets every other one, in a few set-ups. All cells with
 * a new outcome are kept, and some of the others.
 */
import { NEWEST_VERSION } from '../../../../spec/tdx/versions/index.ts';
import type { ConflictCell, StepCell, SummaryCell } from '../conflicts/cell-schemas.ts';
import { functionNames, functionRow, hasEntry, usualEntry } from '../setups/functions.ts';
import { LIFECYCLE_FUNCTIONS, VP_INIT_1 } from '../setups/lifecycle-functions.ts';
import { RUNNING_VCPU } from '../setups/pair-setup.ts';
import { stageNames } from '../setups/stages.ts';
import { CellRecorder, type GeneratedLifecycleCell, type Pair } from './record-cells.ts';
import { withRng, type Rng } from './rng.ts';

/** Percentage of the cells without a new outcome that are kept. */
const KEPT = 6;
/** Maximal numbers of cells, and of lines of `stepwise.jsonl`. */
const MOST_CELLS = 220;
const MOST_LINES = 1000;
const CONFLICT_DRAWS = 3;
const STEP_CHANCE = 50;

const FUNCTION_NAMES = functionNames(false);
const LIFECYCLE_FUNCTION_NAMES = [...LIFECYCLE_FUNCTIONS['1.5'].keys()].filter(
  (name) => name !== VP_INIT_1,
);
const STAGE_NAMES = stageNames('1.5');

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
const POSITIONS: ReadonlyMap<string, string> = new Map([
  ['yOnParentEntryOfX', 'L1 parent'],
  ['yOnParentEntry', 'L1 parent'],
  ['yOnChildEntryOfX', 'L0 child'],
  ['yOnChildEntry', 'L0 child'],
]);

/** Cells of `conflicts.json`. */
export const conflictCells = (seed: number): ConflictCell[] =>
  withRng(seed, (rng) => {
    const recorder = new CellRecorder(NEWEST_VERSION);
    const novelties = new Novelties<ConflictCell>(rng, MOST_CELLS);
    for (const [x, y] of rng.shuffled(pairsOf(FUNCTION_NAMES))) {
      for (let i = 0; i < CONFLICT_DRAWS; i++) {
        const cell = recorder.conflict(drawPair(rng, x, y, CONFLICT_RELATIONS));
        if (cell !== null)
          novelties.offer(cell, [
            `${y} ${cell.yStatus} ${lockClass(cell.yFailedLock)} ${cell.blockedByX}`,
          ]);
      }
    }
    return novelties.kept;
  });

/** Cells of `lifecycle-conflicts.json`. */
export const lifecycleCells = (seed: number): GeneratedLifecycleCell[] =>
  withRng(seed, (rng) => {
    const recorder = new CellRecorder(NEWEST_VERSION);
    const novelties = new Novelties<GeneratedLifecycleCell>(rng, MOST_CELLS);
    for (const [x, y] of rng.shuffled(pairsOf(LIFECYCLE_FUNCTION_NAMES))) {
      const relation = rng.weighted(LIFECYCLE_RELATIONS);
      const isOther = relation === 'otherTD' || relation === 'sameHKID';
      const tdStageX = rng.pick(STAGE_NAMES);
      const cell = recorder.lifecycle({
        x,
        y,
        relation,
        tdStageX,
        tdStageY: isOther ? rng.pick(STAGE_NAMES) : null,
      });
      if (cell !== null)
        novelties.offer(cell, [
          `${y} ${cell.yStatus} ${lockClass(cell.yFailedLock)}`,
          `${x} ${tdStageX}`,
        ]);
    }
    return novelties.kept;
  });

/** Lines of `stepwise.jsonl`. Either all rows of a pair are kept, or none. */
export const stepLines = (seed: number): (SummaryCell | StepCell)[] =>
  withRng(seed, (rng) => {
    const recorder = new CellRecorder(NEWEST_VERSION);
    const seen = new Set<string>();
    const lines: (SummaryCell | StepCell)[] = [];
    for (const [x, y] of rng
      .shuffled(pairsOf(FUNCTION_NAMES))
      .filter(() => rng.percent(STEP_CHANCE))) {
      const cells = recorder.steps(drawPair(rng, x, y, STEP_RELATIONS)) ?? [];
      const news = cells.map((cell) =>
        'xEvent' in cell ? `${y} ${cell.yStatus} ${cell.linearizable}` : `${x} as X`,
      );
      if (news.every((key) => seen.has(key)) || lines.length + cells.length > MOST_LINES) continue;
      for (const key of news) seen.add(key);
      lines.push(...cells);
    }
    return lines;
  });

/** All pairs of X and Y. A vCPU that only runs is never Y. */
const pairsOf = (names: readonly string[]): (readonly [x: string, y: string])[] =>
  names.flatMap((x) => names.filter((y) => y !== RUNNING_VCPU).map((y) => [x, y] as const));

/** Draws a set-up of X and Y, which may be one that cannot be built. */
function drawPair(rng: Rng, x: string, y: string, relations: Weighted): Pair {
  const relation = rng.weighted(relations);
  const opState = rng.percent(75) ? 'RUNNABLE' : 'INITIALIZED';
  const entryOf = (name: string): string | null => {
    const row = functionRow(name);
    return hasEntry(row) ? usualEntry(row, opState) : null;
  };
  const own = { x: entryOf(x), y: entryOf(y) };
  const shared = rng.percent(60) ? (own.x ?? own.y) : (own.y ?? own.x);
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
  return { x, y, relation, opState, xEntry: own.x, yEntry: POSITIONS.get(relation) ?? own.y };
}

/** A lock without its address. */
const lockClass = (lock: string | null | undefined): string =>
  (lock ?? 'none').replace(/[[(0-9].*$/, '');

/** Keeps the items that show something new. */
class Novelties<T> {
  readonly kept: T[] = [];
  private readonly seen = new Set<string>();
  private readonly rng: Rng;
  private readonly most: number;

  constructor(rng: Rng, most: number) {
    this.rng = rng;
    this.most = most;
  }

  /** Keeps an item if one of `shows`, which describe it, is new; keeps some others, too. */
  offer(item: T, shows: readonly string[]): void {
    const isNew = shows.some((what) => !this.seen.has(what));
    for (const what of shows) this.seen.add(what);
    if (this.kept.length < this.most && (isNew || this.rng.percent(KEPT))) this.kept.push(item);
  }
}
