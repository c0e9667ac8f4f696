/**
 * The judge of pair recordings: sets up each recorded pair again, suspends X where it was
 * suspended, runs Y, lets X go on, and compares whatever the cell says. A cell whose set-up cannot
 * be built differs, and says why.
 *
 * The recordings were made on module 1.5.01, and judged against version 1.5 of the specification.
 */
import { setLifecyclePair } from '../setups/lifecycle.ts';
import { setPair } from '../setups/pairs.ts';
import type { Scene } from '../setups/scene.ts';
import { BUILT_TDS, EMPTY_SLOTS, SetupError, Stage } from '../setups/setups.ts';
import { compareCell, type FieldDifference } from './compare.ts';
import { readCells, type RecordedCell } from './format.ts';
import { Measured } from './measure.ts';
import { Names } from './names.ts';

/** One field in which the specification differs from a recording. */
export interface CellDifference extends FieldDifference {
  /** Where the cell is: file and line, or number of the result. */
  readonly where: string;
  /** The pair and its set-up. */
  readonly cell: string;
}

export interface Judgement {
  readonly cells: number;
  /** A cell counts once, however many of its fields differ. */
  readonly differing: number;
  /** The first differences in the order of the file, as many as were asked for. */
  readonly differences: readonly CellDifference[];
}

/** Judges every cell of a file, plain or gzipped. Throws an InputError when it is no pair recording. */
export const judgeFile = async (file: string, limit: number): Promise<Judgement> =>
  new ConflictsJudge().judge(await readCells(file), limit);

export class ConflictsJudge {
  private readonly built = stageWithNames(new Stage(BUILT_TDS));
  private readonly empty = stageWithNames(new Stage(EMPTY_SLOTS));

  judge(cells: readonly RecordedCell[], limit: number): Judgement {
    const found = new Map<RecordedCell, readonly FieldDifference[]>();
    for (const group of groupsOf(cells)) this.judgeGroup(group, found);
    const differences = cells.flatMap((cell) =>
      (found.get(cell) ?? []).map((field) => ({
        where: cell.where,
        cell: titleOf(cell),
        ...field,
      })),
    );
    return { cells: cells.length, differing: found.size, differences: differences.slice(0, limit) };
  }

  /** Judges cells that have the same set-up. */
  private judgeGroup(
    group: readonly RecordedCell[],
    found: Map<RecordedCell, readonly FieldDifference[]>,
  ): void {
    const [first] = group as readonly [RecordedCell, ...RecordedCell[]]; // groups are not empty
    const { stage, names } = first.kind === 'lifecycle' ? this.empty : this.built;
    const mark = stage.mark();
    try {
      const scene = sceneOf(stage, first);
      const measured = new Measured(scene, names);
      for (const cell of group) {
        const differences = compareCell(cell, scene, measured);
        if (differences.length > 0) found.set(cell, differences);
      }
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      for (const cell of group)
        found.set(cell, [{ field: 'set-up', recorded: 'built', ours: error.message }]);
    } finally {
      stage.undo(mark);
    }
  }
}

const stageWithNames = (stage: Stage): { stage: Stage; names: Names } => ({
  stage,
  names: new Names(stage.u),
});

/** Sets the stage for a cell. Throws a SetupError when it does not know how. */
export function sceneOf(stage: Stage, { kind, cell }: RecordedCell): Scene {
  switch (kind) {
    case 'lifecycle':
      return setLifecyclePair(stage, cell);
    case 'order':
      return setPair(stage, { ...cell, ...ALONE });
    case 'conflict':
      return setPair(stage, { ...cell, recorder: 'conflicts' });
    default:
      return setPair(stage, { ...cell, recorder: 'stepwise' });
  }
}

/** A Y that brings nothing of its own, for calls that are recorded alone. */
const ALONE = {
  recorder: 'stepwise',
  y: 'TDH.MEM.TRACK',
  relation: 'sameEntry',
  yEntry: null,
} as const;

/** Cells with the same set-up, together. */
function groupsOf(cells: readonly RecordedCell[]): Iterable<readonly RecordedCell[]> {
  const groups = new Map<string, RecordedCell[]>();
  for (const cell of cells) {
    const title = `${cell.kind === 'conflict'}, ${titleOf(cell)}`;
    const group = groups.get(title);
    if (group === undefined) groups.set(title, [cell]);
    else group.push(cell);
  }
  return groups.values();
}

/** The set-up of a cell, in words. */
function titleOf({ kind, cell }: RecordedCell): string {
  switch (kind) {
    case 'order':
      return `${cell.x}, ${cell.opState}, ${cell.xEntry ?? '-'}`;
    case 'lifecycle': {
      const stages = cell.tdStageY === null ? cell.tdStageX : `${cell.tdStageX} / ${cell.tdStageY}`;
      return `${cell.x} / ${cell.y}, ${cell.relation}, ${stages}`;
    }
    default:
      return `${cell.x} / ${cell.y}, ${cell.relation}, ${cell.opState}, ${entriesOf(cell)}`;
  }
}

/**
 * Where Y's entry is X's parent or child, rows name its place and summaries name X's state: they
 * mean the same.
 */
const entriesOf = (cell: {
  relation: string;
  xEntry: string | null;
  yEntry: string | null;
}): string =>
  cell.relation.startsWith('yOn')
    ? (cell.xEntry ?? '-')
    : `${cell.xEntry ?? '-'} / ${cell.yEntry ?? '-'}`;
