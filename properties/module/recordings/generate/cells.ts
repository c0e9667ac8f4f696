/**
 * Generates pairs of calls. Every function meets every other one, in a few set-ups. All cells with
 * a new outcome are kept, and some of the others.
 */
import { versionData, type ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import type {
  ConflictCell,
  ExchangeCell,
  ExchangesCell,
  StepCell,
  SummaryCell,
} from '../conflicts/cell-schemas.ts';
import { conventionsOf } from '../setups/conventions.ts';
import { functionRow, hasEntry, usualEntry } from '../setups/functions.ts';
import { RUNNING_VCPU } from '../setups/pair-setup.ts';
import { CellRecorder, type GeneratedLifecycleCell } from './record-cells.ts';
import type { Pair } from './record-steps.ts';
import { withRng, type Rng } from './rng.ts';
import { vocabularyOf, type NamedCall, type Weighted } from './vocabulary.ts';

/** Percentage of the cells without a new outcome that are kept. */
const KEPT = 6;
const CONFLICT_DRAWS = 3;
const STEP_CHANCE = 50;

/** What to generate. */
export interface Request {
  readonly version: ModuleVersion;
  readonly seed: number;
  /** Maximal numbers of cells, and of lines. */
  readonly mostCells: number;
  readonly mostLines: number;
}

const vocabularyFor = (version: ModuleVersion): ReturnType<typeof vocabularyOf> =>
  vocabularyOf(conventionsOf(versionData(version)));

/** Cells of `conflicts.json`. */
export const conflictCells = ({ version, seed, mostCells }: Request): ConflictCell[] =>
  withRng(seed, (rng) => {
    const { functions, conflictRelations } = vocabularyFor(version);
    const recorder = new CellRecorder(version);
    const novelties = new Novelties<ConflictCell>(rng, mostCells);
    for (const [x, y] of rng.shuffled(pairsOf(functions))) {
      for (let i = 0; i < CONFLICT_DRAWS; i++) {
        const cell = recorder.conflict(drawPair(rng, version, x, y, conflictRelations));
        if (cell !== null)
          novelties.offer(cell, [
            `${y} ${cell.yStatus} ${lockClass(cell.yFailedLock)} ${cell.blockedByX}`,
          ]);
      }
    }
    return novelties.kept;
  });

/** Cells of `lifecycle-conflicts.json`. */
export const lifecycleCells = ({ version, seed, mostCells }: Request): GeneratedLifecycleCell[] =>
  withRng(seed, (rng) => {
    const { lifecycleFunctions, lifecycleRelations, stages, ofOtherTd } = vocabularyFor(version);
    const recorder = new CellRecorder(version);
    const novelties = new Novelties<GeneratedLifecycleCell>(rng, mostCells);
    const calls = new Map(lifecycleFunctions.map((call) => [keyOf(call), call]));
    for (const [x, y] of rng.shuffled(pairsOf([...calls.keys()]))) {
      const relation = rng.weighted(lifecycleRelations);
      const tdStageX = rng.pick(stages);
      const ofX = calls.get(x) as NamedCall; // x and y are its keys
      const ofY = calls.get(y) as NamedCall;
      const cell = recorder.lifecycle({
        x: ofX.name,
        ...(ofX.which === undefined ? {} : { xCase: ofX.which }),
        y: ofY.name,
        ...(ofY.which === undefined ? {} : { yCase: ofY.which }),
        relation,
        tdStageX,
        tdStageY: ofOtherTd.has(relation) ? rng.pick(stages) : null,
      });
      if (cell !== null)
        novelties.offer(cell, [
          `${y} ${cell.yStatus} ${lockClass(cell.yFailedLock)}`,
          `${x} ${tdStageX}`,
        ]);
    }
    return novelties.kept;
  });

const keyOf = ({ name, which = '' }: NamedCall): string =>
  which === '' ? name : `${name}(${which})`;

/** Lines about a pair. Either all are kept, or none. */
type Lines<T> = (recorder: CellRecorder, pair: Pair) => readonly T[] | null;

/** Keeps the lines of pairs that show something new. `showing`: what a line shows of Y. */
const linesOf = <T extends object>(
  { version, seed, mostLines }: Request,
  record: Lines<T>,
  showing: (line: T, x: string, y: string) => string,
): T[] =>
  withRng(seed, (rng) => {
    const { functions, stepRelations } = vocabularyFor(version);
    const recorder = new CellRecorder(version);
    const seen = new Set<string>();
    const lines: T[] = [];
    for (const [x, y] of rng.shuffled(pairsOf(functions)).filter(() => rng.percent(STEP_CHANCE))) {
      const cells = record(recorder, drawPair(rng, version, x, y, stepRelations)) ?? [];
      const news = cells.map((cell) => showing(cell, x, y));
      if (news.every((key) => seen.has(key)) || lines.length + cells.length > mostLines) continue;
      for (const key of news) seen.add(key);
      lines.push(...cells);
    }
    return lines;
  });

/** Lines of `stepwise.jsonl`. */
export const stepLines = (request: Request): (SummaryCell | StepCell)[] =>
  linesOf<SummaryCell | StepCell>(
    request,
    (recorder, pair) => recorder.steps(pair),
    (cell, x, y) => ('xEvent' in cell ? `${y} ${cell.yStatus} ${cell.linearizable}` : `${x} as X`),
  );

/** Lines of `stepwise-cas.jsonl`: pairs whose X makes a compare-and-exchange. */
export const exchangeLines = (request: Request): (ExchangesCell | ExchangeCell)[] =>
  linesOf<ExchangesCell | ExchangeCell>(
    request,
    (recorder, pair) => recorder.exchanges(pair),
    (cell, x, y) =>
      'xEvent' in cell ? `${y} ${cell.yStatus} ${cell.xStatusAfterResume}` : `${x} ${y}`,
  );

/** All pairs of X and Y. A vCPU that only runs is never Y. */
const pairsOf = (names: readonly string[]): (readonly [x: string, y: string])[] =>
  names.flatMap((x) => names.filter((y) => y !== RUNNING_VCPU).map((y) => [x, y] as const));

/** Draws a set-up of X and Y, which may be one that cannot be built. */
function drawPair(
  rng: Rng,
  version: ModuleVersion,
  x: string,
  y: string,
  relations: Weighted,
): Pair {
  const relation = rng.weighted(relations);
  const opState = rng.percent(75) ? 'RUNNABLE' : 'INITIALIZED';
  const entryOf = (name: string): string | null => {
    const row = functionRow(name);
    return hasEntry(row) ? usualEntry(row, opState, versionData(version)) : null;
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
  return {
    x,
    y,
    relation,
    opState,
    xEntry: own.x,
    yEntry: vocabularyFor(version).positions.get(relation) ?? own.y,
  };
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
