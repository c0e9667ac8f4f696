/**
 * The judge of pair recordings. It sets up each recorded pair again, suspends X where the recorder
 * did, runs Y, resumes X, and compares every field of the cell. A cell whose set-up cannot be built
 * differs, and says why.
 *
 * A judge is for one version of the module.
 */
import { NEWEST_VERSION, type ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import { setUpLifecyclePair } from '../setups/lifecycle.ts';
import { setUpLockCase } from '../setups/lock-cases.ts';
import type { PairSetup } from '../setups/pair-setup.ts';
import { setUpPair } from '../setups/pairs.ts';
import { builtTds, emptySlots, SetupError, Testbed } from '../setups/testbed.ts';
import { compareCell } from './compare.ts';
import type { Comparison, FieldDifference } from './comparison.ts';
import type { RecordedCell } from './format.ts';
import { PairMeasurement } from './measurement.ts';
import { RecordedNames } from './recorded-names.ts';

/** One field in which the specification differs from a recording. */
export interface CellDifference extends FieldDifference {
  /** File and line of the cell, or number of the result. */
  readonly where: string;
  /** The pair and its set-up. */
  readonly cell: string;
}

export interface Judgement {
  readonly cells: number;
  /** Number of cells of which at least one field differs. */
  readonly differing: number;
  /** What has no counterpart in the specification, and in how many cells it is. */
  readonly notCompared: Readonly<Record<string, number>>;
  /** The first differences in the order of the file, up to the requested number. */
  readonly differences: readonly CellDifference[];
}

export class ConflictsJudge {
  private readonly built: NamedTestbed;
  private readonly empty: NamedTestbed;

  constructor(version: ModuleVersion = NEWEST_VERSION) {
    this.built = withNames(new Testbed(builtTds, version));
    this.empty = withNames(new Testbed(emptySlots, version));
  }

  /** Judges the cells of a recording. Keeps the first `limit` differences. */
  judge(cells: readonly RecordedCell[], limit: number): Judgement {
    const found = new Map<RecordedCell, Compared>();
    for (const group of groupsOf(cells)) this.judgeGroup(group, found);
    const differences = cells.flatMap((cell) =>
      (found.get(cell)?.differences ?? []).map((field) => ({
        where: cell.where,
        cell: titleOf(cell),
        ...field,
      })),
    );
    const compared = [...found.values()];
    return {
      cells: cells.length,
      differing: compared.filter((cell) => cell.differences.length > 0).length,
      notCompared: countsOf(compared.flatMap(({ skipped }) => [...new Set(skipped)])),
      differences: differences.slice(0, limit),
    };
  }

  /** Judges cells that have the same set-up. */
  private judgeGroup(group: readonly RecordedCell[], found: Map<RecordedCell, Compared>): void {
    const [first] = group as readonly [RecordedCell, ...RecordedCell[]]; // groups are not empty
    const { testbed, names } = isOfEmptySlots(first) ? this.empty : this.built;
    const mark = testbed.mark();
    try {
      const setup = setUpCell(testbed, first);
      const measured = new PairMeasurement(setup, names);
      for (const cell of group) {
        found.set(cell, compareCell(cell, setup, names, measured));
      }
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      const field = { field: 'set-up', recorded: 'built', ours: error.message };
      for (const cell of group) found.set(cell, { differences: [field], skipped: [] });
    } finally {
      testbed.undo(mark);
    }
  }
}

/** What remains of the comparison of a cell. */
type Compared = Pick<Comparison, 'differences' | 'skipped'>;

/** The number of times that each text occurs, in the order of the texts. */
function countsOf(texts: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts.toSorted()) counts.set(text, (counts.get(text) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/** The TDs of the cell are built by the module's own functions. */
const isOfEmptySlots = ({ kind, cell }: RecordedCell): boolean =>
  kind === 'lifecycle' || (kind === 'locks' && cell.tdStage !== undefined);

interface NamedTestbed {
  readonly testbed: Testbed;
  readonly names: RecordedNames;
}

const withNames = (testbed: Testbed): NamedTestbed => ({
  testbed,
  names: new RecordedNames(testbed.u),
});

/** Sets up the pair of a cell. @throws SetupError if there is no set-up for it */
export function setUpCell(testbed: Testbed, { kind, cell }: RecordedCell): PairSetup {
  switch (kind) {
    case 'lifecycle':
      return setUpLifecyclePair(testbed, cell);
    case 'locks':
      return setUpLockCase(testbed, cell);
    case 'order':
      return setUpPair(testbed, { ...cell, ...ALONE });
    case 'conflict':
      return setUpPair(testbed, { ...cell, recorder: 'conflicts' });
    default:
      return setUpPair(testbed, { ...cell, recorder: 'stepwise' });
  }
}

/** A Y that needs no entry, for calls that are recorded alone. */
const ALONE = {
  recorder: 'stepwise',
  y: 'TDH.MEM.TRACK',
  relation: 'sameEntry',
  yEntry: null,
} as const;

/** Groups the cells that have the same set-up. */
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
    case 'locks': {
      const name = cell.case === '' ? cell.function : `${cell.function}, ${cell.case}`;
      return `${name}, ${cell.tdStage ?? `${cell.opState}, ${cell.entryState ?? '-'}`}`;
    }
    case 'order':
      return `${cell.x}, ${cell.opState}, ${cell.xEntry ?? '-'}`;
    case 'lifecycle': {
      const stages = cell.tdStageY === null ? cell.tdStageX : `${cell.tdStageX} / ${cell.tdStageY}`;
      const calls = `${withCase(cell.x, cell.xCase)} / ${withCase(cell.y, cell.yCase)}`;
      return `${calls}, ${cell.relation}, ${stages}`;
    }
    default:
      return `${cell.x} / ${cell.y}, ${cell.relation}, ${cell.opState}, ${entriesOf(cell)}`;
  }
}

const withCase = (name: string, which: string): string =>
  which === '' ? name : `${name}(${which})`;

/**
 * If Y's entry is X's parent or child, rows name its position, and summaries name X's state. Both
 * mean the same, so neither is part of the title.
 */
const entriesOf = (cell: {
  relation: string;
  xEntry: string | null;
  yEntry: string | null;
}): string =>
  cell.relation.startsWith('yOn')
    ? (cell.xEntry ?? '-')
    : `${cell.xEntry ?? '-'} / ${cell.yEntry ?? '-'}`;
