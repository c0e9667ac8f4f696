/**
 * The judge of pair recordings: sets up each recorded pair again, suspends X where it was suspended, runs Y, lets X go
 * on, and compares whatever the cell says. A cell whose set-up cannot be built differs, and says why.
 */
import { readCells, type ConflictCell, type LifecycleCell, type OrderCell, type RecordedCell, type StepCell, type SummaryCell } from './conflicts-format.ts';
import { Measured, type Paused } from './conflicts-measure.ts';
import { Names } from './conflicts-names.ts';
import { isListed } from './conflicts-trace.ts';
import { setLifecyclePair } from './setups-lifecycle.ts';
import { setPair } from './setups-pairs.ts';
import { RUNNING_VCPU, type Scene } from './setups-scene.ts';
import { BUILT_TDS, EMPTY_SLOTS, SetupError, Stage } from './setups.ts';

/** One field in which the specification differs from a recording. */
export interface CellDifference {
  /** Where the cell is in its file. */
  readonly where: string;
  /** What the cell is about. */
  readonly cell: string;
  readonly field: string;
  readonly recorded: string;
  readonly ours: string;
}

export interface Judgement {
  readonly cells: number;
  readonly differing: number;
  /** The first differences, as many as were asked for. */
  readonly differences: readonly CellDifference[];
}

type Report = (field: string, recorded: unknown, ours: unknown) => void;

/** Judges every cell of a file, plain or gzipped. Throws an InputError when it is no pair recording. */
export async function judgeFile(file: string, limit: number): Promise<Judgement> {
  return judgeCells(await readCells(file), limit);
}

export function judgeCells(cells: readonly RecordedCell[], limit: number): Judgement {
  const differences: CellDifference[] = [];
  let differing = 0;
  const judge = new Judge();
  for (const group of groupsOf(cells)) {
    judge.group(group, (recorded, fields) => {
      differing++;
      for (const field of fields) {
        if (differences.length < limit) differences.push({ where: recorded.where, cell: titleOf(recorded), ...field });
      }
    });
  }
  return { cells: cells.length, differing, differences };
}

interface FieldDifference {
  readonly field: string;
  readonly recorded: string;
  readonly ours: string;
}

type Differs = (cell: RecordedCell, fields: readonly FieldDifference[]) => void;

/** Cells with the same set-up, together. */
function groupsOf(cells: readonly RecordedCell[]): Iterable<readonly RecordedCell[]> {
  const groups = new Map<string, RecordedCell[]>();
  for (const cell of cells) {
    const key = titleOf(cell);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [cell]);
    else group.push(cell);
  }
  return groups.values();
}

/** The set-up of a cell, in words. */
function titleOf({ kind, cell }: RecordedCell): string {
  switch (kind) {
    case 'order': return `${cell.x}, ${cell.opState}, ${cell.xEntry ?? '-'}`;
    case 'lifecycle': return `${cell.x} / ${cell.y}, ${cell.relation}, ${cell.tdStageX}${cell.tdStageY === null ? '' : ` / ${cell.tdStageY}`}`;
    default: return `${cell.x} / ${cell.y}, ${cell.relation}, ${cell.opState}, ${cell.xEntry ?? '-'} / ${entryOfY(cell)}`;
  }
}

/** Y's entry. A summary names X's where Y's has no name of its own. */
const entryOfY = ({ relation, yEntry }: ConflictCell | StepCell | SummaryCell): string =>
  relation.startsWith('yOn') ? 'by relation' : yEntry ?? '-';

class Judge {
  private readonly built = new Stage(BUILT_TDS);
  private readonly empty = new Stage(EMPTY_SLOTS);
  private readonly builtNames = new Names(this.built.u);
  private readonly emptyNames = new Names(this.empty.u);

  group(group: readonly RecordedCell[], differs: Differs): void {
    const lifecycle = group[0]?.kind === 'lifecycle';
    const stage = lifecycle ? this.empty : this.built;
    const mark = stage.mark();
    try {
      const scene = sceneOf(stage, group[0] as RecordedCell); // a group is not empty
      const measured = new Measured(scene, lifecycle ? this.emptyNames : this.builtNames);
      for (const cell of group) compareCell(cell, scene, measured, differs);
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      for (const cell of group) differs(cell, [{ field: 'set-up', recorded: 'built', ours: error.message }]);
    } finally {
      stage.undo(mark);
    }
  }
}

function sceneOf(stage: Stage, { kind, cell }: RecordedCell): Scene {
  switch (kind) {
    case 'lifecycle': return setLifecyclePair(stage, cell);
    case 'order': return setPair(stage, { ...cell, recorder: 'stepwise', y: 'TDH.MEM.TRACK', relation: 'sameEntry', yEntry: null });
    default: return setPair(stage, { ...cell, recorder: kind === 'conflict' ? 'conflicts' : 'stepwise' });
  }
}

function compareCell(recorded: RecordedCell, scene: Scene, measured: Measured, differs: Differs): void {
  const fields: FieldDifference[] = [];
  const report: Report = (field, theirs, ours) => fields.push({ field, recorded: String(theirs), ours: String(ours) });
  const compare: Compare = (field, theirs, ours) => {
    if (theirs !== ours) report(field, theirs, ours);
  };
  switch (recorded.kind) {
    case 'conflict': compareConflict(recorded.cell, scene, measured, compare); break;
    case 'lifecycle': compareLifecycle(recorded.cell, scene, measured, compare); break;
    case 'step': compareStep(recorded.cell, measured, compare); break;
    case 'summary': compareSummary(recorded.cell, measured, compare); break;
    case 'order': compareOrder(recorded.cell, measured, compare); break;
  }
  if (fields.length > 0) differs(recorded, fields);
}

type Compare = (field: string, theirs: unknown, ours: unknown) => void;

const bits = (raw: string | undefined): bigint | undefined => (raw === undefined ? undefined : BigInt(raw));

function compareBits(compare: Compare, field: string, theirs: string | undefined, ours: bigint | null | undefined): void {
  if (theirs !== undefined) compare(field, hexOf(bits(theirs)), hexOf(ours));
}

const hexOf = (value: bigint | null | undefined): string => (typeof value === 'bigint' ? `0x${value.toString(16)}` : 'absent');

/** What both kinds of conflict cells say: X is suspended right after its last acquisition. */
function compareSuspended(cell: ConflictCell | LifecycleCell, measured: Measured, steps: number, held: number | null, compare: Compare): Paused {
  const paused = measured.pausedAt(steps);
  compare('xAlone', cell.xAlone, measured.xAlone);
  compare('yAlone', cell.yAlone, measured.yAlone);
  if (held !== null) compare('xLocksHeldAtPause', cell.xLocksHeldAtPause, held);
  compare('yStatus', cell.yStatus, paused.yStatus);
  compare('yFailedLock', cell.yFailedLock ?? null, paused.yFailedLock);
  compare('yFailedLockKind', cell.yFailedLockKind ?? null, paused.yFailedLockKind);
  compare('blockedByX', cell.blockedByX, paused.yStatus !== measured.yAlone);
  compare('xStatusAfterResume', cell.xStatusAfterResume, paused.xStatus);
  return paused;
}

function compareConflict(cell: ConflictCell, scene: Scene, measured: Measured, compare: Compare): void {
  const { trace } = measured;
  const paused = compareSuspended(cell, measured, trace?.lastAcquire ?? 0, trace?.acquired ?? null, compare);
  compareBits(compare, 'yStatusRaw', cell.yStatusRaw, paused.yRax);
  compareBits(compare, 'entryWhilePaused', cell.entryWhilePaused, paused.entryWhilePaused);
  compareBits(compare, 'entryAfter', cell.entryAfter, paused.entryAfter);
  compareBits(compare, 'guestRax', cell.guestRax, paused.yRax);
  void scene;
}

/** The recorder of life-cycle pairs did not suspend guests: their VCPU is in the guest, and that is all. */
function compareLifecycle(cell: LifecycleCell, scene: Scene, measured: Measured, compare: Compare): void {
  const guest = cell.x === RUNNING_VCPU || scene.x.operands.vcpu >= 0;
  const { trace } = measured;
  const steps = guest ? 0 : trace?.lastAcquire ?? 0;
  const paused = compareSuspended(cell, measured, steps, guest ? null : trace?.acquired ?? 0, compare);
  compare('xChanged', cell.xChanged, paused.xStatus !== measured.xAlone);
}

/** The recorder adds details to a halt. */
const withoutDetails = (status: string): string => status.replace(/^(MODULE_HALT).*$/, '$1');

function compareStep(cell: StepCell, measured: Measured, compare: Compare): void {
  const event = measured.trace?.events[cell.xEventIndex - 1];
  compare('xEvent.event', cell.xEvent.event, event?.event);
  compare('xEvent.what', cell.xEvent.what, event?.what);
  if (event === undefined) return;
  if (cell.xEvent.kind !== undefined) compare('xEvent.kind', cell.xEvent.kind, event.kind);
  compareBits(compare, 'xEvent.old', cell.xEvent.old, event.old);
  compareBits(compare, 'xEvent.new', cell.xEvent.new, event.new);
  compareBits(compare, 'entryBefore', cell.entryBefore, measured.entryBefore);
  compare('xAlone', cell.xAlone, measured.xAlone);
  compare('yAlone', cell.yAlone, measured.yBeforeX);
  compare('xAfterY', cell.xAfterY, measured.xAfterY);
  compare('yAfterX', cell.yAfterX, measured.yAfterX);
  const paused = measured.pausedAt(event.steps, event.acquiring);
  compare('yStatus', withoutDetails(cell.yStatus), paused.yStatus);
  compare('xStatusAfterResume', withoutDetails(cell.xStatusAfterResume), paused.xStatus);
  compare('yFailedLock', cell.yFailedLock ?? null, paused.yFailedLock);
  compareBits(compare, 'entryAtPause', cell.entryAtPause, paused.entryAtPause);
  compareBits(compare, 'entryAfter', cell.entryAfter, paused.entryAfter);
  compare('linearizable', cell.linearizable, paused.linearizable);
  compare('lockLeak', cell.lockLeak, paused.lockLeak);
}

/** The counts over all events of X, of which the rows are a part. */
function compareSummary(cell: SummaryCell, measured: Measured, compare: Compare): void {
  const { tried } = measured;
  const outcomes = tried.map((event) => measured.pausedAt(event.steps, event.acquiring));
  const unchanged = outcomes.filter((paused) => measured.isUnchanged(paused)).length;
  compare('events', cell.events, measured.trace?.events.length);
  compare('eventsTried', cell.eventsTried, tried.length);
  compare('unchanged', cell.unchanged, unchanged);
  compare('rowsKept', cell.rowsKept, tried.length - unchanged);
  compare('nonAtomicRows', cell.nonAtomicRows, outcomes.filter((paused) => !paused.linearizable).length);
}

/** The whole order of acquires, writes and releases. */
function compareOrder(cell: OrderCell, measured: Measured, compare: Compare): void {
  compare('status', cell.status, measured.xAlone);
  const ours = measured.tried.filter(isListed);
  compare('events.length', cell.events.length, ours.length);
  cell.events.forEach((theirs, i) => {
    const event = ours[i];
    const at = `events[${i}]`;
    compare(`${at}.i`, theirs.i, event?.index);
    compare(`${at}.event`, theirs.event, event?.event);
    compare(`${at}.what`, theirs.what, event?.what);
    if (theirs.kind !== undefined) compare(`${at}.kind`, theirs.kind, event?.kind);
    compareBits(compare, `${at}.old`, theirs.old, event?.old);
    compareBits(compare, `${at}.new`, theirs.new, event?.new);
  });
}
