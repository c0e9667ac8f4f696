/**
 * Sets up the pairs of `conflicts.json`, `stepwise.jsonl` and `commit-order.jsonl` from their names
 * alone: functions, relation, OP_STATE and entries. Any combination can be built, whether or not a
 * recording at hand has it.
 */
import type { Operands } from '../../../../spec/tdx/call.ts';
import { RUNNABLE, TD, TEARDOWN, VP } from '../../../../spec/tdx/td.ts';
import {
  blockAgain,
  buildEntry,
  bytesAt,
  entryCell,
  entrySpec,
  Pools,
  privatePages,
  type EntrySpec,
} from './entries.ts';
import { functionRow, hasEntry, isArmedName, usualEntry, type FunctionRow } from './functions.ts';
import { pageOperands, type Pair, type Place } from './pages.ts';
import { isSeparate, relationNamed, type Relation } from './relations.ts';
import { actingParty, party, RUNNING_VCPU, type Scene } from './scene.ts';
import { lpOf, OTHER_LP, SetupError, X_LP, Y_LP, type Stage } from './setups.ts';
import { armSteppingFilter } from './stepping.ts';

export interface PairName {
  /**
   * Which recording: they differ in what TDH.PHYMEM.PAGE.RECLAIM and RDMD are about where no entry
   * is named.
   */
  readonly recorder: 'conflicts' | 'stepwise';
  readonly x: string;
  readonly y: string;
  readonly relation: string;
  readonly opState: string;
  readonly xEntry: string | null;
  readonly yEntry: string | null;
}

/** Entries that recordings name by where they are. */
const BY_PLACE = new Map([
  ['L0 child', 0],
  ['L1 parent', 1],
  ['L2 grandparent', 2],
]);

/** Sets the stage for a pair. Throws a SetupError when it does not know how. */
export function setPair(stage: Stage, pair: PairName): Scene {
  const relation = relationNamed(pair.relation);
  const rows = { x: functionRow(pair.x), y: functionRow(pair.y) };
  const { places, untracked } = buildEntries(stage, pair, relation, rows);
  bringTo(stage, 0, pair.opState);
  if (relation.otherTd === true) bringTo(stage, 1, usualOpState(rows.y));
  for (const { td, gpa, level } of untracked) blockAgain(stage, td, gpa, level);

  const pages = pageOperands(
    stage,
    relation,
    rows,
    places,
    pair.recorder === 'conflicts' ? 'added' : 'leaf',
  );
  const vcpus = vcpusOf(relation);
  const enterX = prepareVcpu(stage, pair.x, vcpus.x);
  const enterY = relation.otherLp === true ? null : prepareVcpu(stage, pair.y, vcpus.y);
  enterY?.();
  if (pair.x === 'TDH.PHYMEM.PAGE.RECLAIM') stage.m.poke(stage.tdCell(0, TD.LIFECYCLE), TEARDOWN);
  return {
    stage,
    x: party(pair.x, operandsFor(stage, rows.x, places.x, pages.x, vcpus.x, X_LP)),
    y: actingParty(pair.y, operandsFor(stage, rows.y, places.y, pages.y, vcpus.y, Y_LP)),
    watched: () => entryCell(stage, 0, places.x.gpa, places.x.level),
    enterX: enterX ?? (() => undefined),
  };
}

const usualOpState = ({ only }: FunctionRow): string => only ?? 'RUNNABLE';

interface Built {
  readonly places: Pair<Place>;
  /** Entries that are blocked, but in the present epoch. */
  readonly untracked: readonly Place[];
}

/** Builds the entries of both. */
function buildEntries(
  stage: Stage,
  pair: PairName,
  relation: Relation,
  rows: Pair<FunctionRow>,
): Built {
  const pools = new Pools();
  const untracked: Place[] = [];
  const build = (place: Place, spec: EntrySpec, which: number): void => {
    buildEntry(stage, pools, place.td, place.gpa, spec, privatePages(which, spec.level));
    if (spec.isUntracked) untracked.push(place);
  };
  const base = entrySpec(baseEntry(pair, relation, rows));
  build({ td: 0, gpa: 0, level: base.level }, base, 0);
  const x = { td: 0, gpa: 0, level: BY_PLACE.get(pair.xEntry ?? '') ?? base.level };
  if (!isSeparate(relation))
    return { places: { x, y: { ...x, level: x.level + (relation.levels ?? 0) } }, untracked };

  const td = relation.otherTd === true ? 1 : 0;
  const opState = td === 1 ? usualOpState(rows.y) : pair.opState;
  const own = entrySpec(named(pair.yEntry) ?? usualEntry(rows.y, opState));
  const gpa = relation.apart === 'next' ? bytesAt(stage, own.level) : (relation.apart ?? 0);
  const y = { td, gpa, level: own.level };
  build(y, own, 1);
  return { places: { x, y }, untracked };
}

/** A state that the recording names, as opposed to none, or a place. */
const named = (entry: string | null): string | null =>
  entry === null || BY_PLACE.has(entry) ? null : entry;

/**
 * The entry at GPA 0: X's. If X has none, Y's, unless that is elsewhere. If neither has, or it is
 * named by its place, what the functions are usually set up with; what it says about an entry at
 * level 0 holds for a child.
 */
function baseEntry(pair: PairName, relation: Relation, rows: Pair<FunctionRow>): string {
  const separate = isSeparate(relation);
  const given = named(pair.xEntry) ?? (separate ? null : named(pair.yEntry));
  if (given !== null) return given;
  const tells = (row: FunctionRow): boolean =>
    hasEntry(row) || (row.takes === 'page' && (row === rows.x || pair.recorder === 'conflicts'));
  const usual = (separate ? [rows.x] : [rows.x, rows.y])
    .filter(tells)
    .map((row) => usualEntry(row, pair.opState));
  const chosen =
    pair.yEntry === 'L0 child' ? usual.slice(-1).filter((name) => name.endsWith('@L0')) : usual;
  return chosen.find((name) => name !== 'FREE@L0') ?? 'FREE@L0';
}

/** From INITIALIZED to the OP_STATE of the recording. Epoch 2 begins with RUNNABLE. */
function bringTo(stage: Stage, td: number, opState: string): void {
  if (opState === 'INITIALIZED') return;
  if (opState !== 'RUNNABLE') throw new SetupError(`there is no set-up for OP_STATE ${opState}`);
  stage.m.poke(stage.tdCell(td, TD.OP_STATE), RUNNABLE);
  stage.expect('TDH.MEM.TRACK', { rcx: stage.tdrAddress(td) });
}

interface Vcpu {
  readonly td: number;
  readonly vcpu: number;
  readonly lp: number;
}

/** X is about VCPU 0, Y about another one, unless the relation says that it is the same. */
function vcpusOf({ otherTd, otherLp }: Relation): Pair<Vcpu> {
  const x = { td: 0, vcpu: 0, lp: lpOf(0, 0) };
  if (otherLp === true) return { x, y: { ...x, lp: OTHER_LP } };
  const [td, vcpu] = otherTd === true ? [1, 0] : [0, 1];
  return { x, y: { td, vcpu, lp: lpOf(td, vcpu) } };
}

/** Brings a VCPU into the state that a function needs; answers how it gets into the guest, or null. */
function prepareVcpu(stage: Stage, recorded: string, { td, vcpu }: Vcpu): (() => void) | null {
  const runs = stage.m.peek(stage.tdCell(td, TD.OP_STATE)) === RUNNABLE;
  if (isArmedName(recorded) && runs) armSteppingFilter(stage, td, vcpu);
  const inGuest = recorded === RUNNING_VCPU || functionRow(recorded).takes === 'guest';
  if (!inGuest && recorded !== 'TDH.VP.FLUSH') return null;
  if (!inGuest && !runs) {
    associate(stage, td, vcpu);
    return null;
  }
  stage.enter(td, vcpu);
  stage.exit(td, vcpu);
  return inGuest ? () => stage.enter(td, vcpu) : null;
}

/** What TDH.VP.INIT leaves: the VCPU belongs to an LP. */
function associate(stage: Stage, td: number, vcpu: number): void {
  const { m } = stage;
  const count = stage.tdCell(td, TD.NUM_ASSOC_VCPUS);
  m.poke(stage.tdx.memory.word(stage.tdvpr(td, vcpu), VP.ASSOC_LPID), lpOf(td, vcpu) + 1);
  m.poke(count, m.peek(count) + 1);
}

function operandsFor(
  stage: Stage,
  row: FunctionRow,
  { td, gpa, level }: Place,
  page: number,
  vcpu: Vcpu,
  lp: number,
): Partial<Operands> {
  const rdx = stage.tdrAddress(td);
  const tdvpr = stage.tdvpr(vcpu.td, vcpu.vcpu);
  return {
    mapping: { rcx: gpa + level, rdx, r8: page, lp },
    gpa: { rcx: gpa, rdx, lp },
    td: { rcx: rdx, lp },
    page: { rcx: page, lp },
    vcpu: { rcx: stage.address(tdvpr), lp: vcpu.lp },
    guest: { rcx: gpa + level, vcpu: tdvpr, lp: vcpu.lp },
  }[row.takes];
}
