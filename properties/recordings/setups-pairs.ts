/**
 * How the pairs of `conflicts.json`, `stepwise.jsonl` and `commit-order.jsonl` are set up: what each function is given,
 * and what each relation between X and Y means. X's entry is at GPA 0 of TD 0. Everything is a table, so that any
 * combination of functions, relation and states can be built, whether or not a recording at hand has it.
 *
 * Source: the lock names (physical addresses), raw entries and CHLDCNT values of the recordings.
 */
import type { Operands } from '../../spec/tdx/call.ts';
import { RUNNABLE, TD, TEARDOWN } from '../../spec/tdx/td.ts';
import { armSteppingFilter } from './setups-stepping.ts';
import { buildEntry, bytesAt, entryCell, entrySpec, leafPage, pageUnder, Pools, privatePages } from './setups-entries.ts';
import { party, RUNNING_VCPU, type Scene } from './setups-scene.ts';
import { lpOf, SetupError, type Stage } from './setups.ts';

export interface PairName {
  /** Which recording: where an entry is FREE, they aim TDH.PHYMEM.PAGE.RECLAIM and RDMD at different pages. */
  readonly recorder: 'conflicts' | 'stepwise';
  readonly x: string;
  readonly y: string;
  readonly relation: string;
  readonly opState: string;
  readonly xEntry: string | null;
  readonly yEntry: string | null;
}

/** What kind of operands a function takes. */
type Takes = 'mapping' | 'gpa' | 'td' | 'page' | 'vcpu' | 'guest';

interface FunctionRow {
  readonly takes: Takes;
  /** The entry that the function is usually set up with, while the TD is INITIALIZED and when it is RUNNABLE. */
  readonly initialized: string;
  readonly runnable: string;
  /** R8 is a new page. */
  readonly addsPage?: true;
  /** The page that the entry leads to is locked. */
  readonly locksPage?: true;
  /** The one OP_STATE in which the function does its work; the others work in both. */
  readonly only?: 'INITIALIZED';
}

const TABLE: ReadonlyMap<string, FunctionRow> = new Map<string, FunctionRow>([
  ['TDH.MEM.SEPT.ADD', { takes: 'mapping', initialized: 'FREE@L1', runnable: 'FREE@L1', addsPage: true }],
  ['TDH.MEM.SEPT.REMOVE', {
    takes: 'mapping', initialized: 'NL_MAPPED(empty)@L1', runnable: 'NL_BLOCKED(tracked,empty)@L1', locksPage: true,
  }],
  ['TDH.MEM.SEPT.RD', { takes: 'mapping', initialized: 'FREE@L0', runnable: 'FREE@L0' }],
  ['TDH.MEM.PAGE.ADD', {
    takes: 'mapping', initialized: 'FREE@L0', runnable: 'FREE@L0', addsPage: true, only: 'INITIALIZED',
  }],
  ['TDH.MEM.PAGE.AUG', { takes: 'mapping', initialized: 'FREE@L0', runnable: 'FREE@L0', addsPage: true }],
  ['TDH.MEM.PAGE.REMOVE', {
    takes: 'mapping', initialized: 'PENDING@L0', runnable: 'BLOCKED(tracked)@L0', locksPage: true,
  }],
  ['TDH.MEM.PAGE.PROMOTE', {
    takes: 'mapping', initialized: 'NL_BLOCKED(tracked,512xPENDING)@L1',
    runnable: 'NL_BLOCKED(tracked,512xPENDING)@L1', locksPage: true,
  }],
  ['TDH.MEM.PAGE.DEMOTE', {
    takes: 'mapping', initialized: 'PENDING@L1', runnable: 'BLOCKED(tracked)@L1', addsPage: true,
  }],
  ['TDH.MEM.PAGE.RELOCATE', {
    takes: 'mapping', initialized: 'PENDING@L0', runnable: 'BLOCKED(tracked)@L0', addsPage: true, locksPage: true,
  }],
  ['TDH.MEM.RANGE.BLOCK', { takes: 'mapping', initialized: 'PENDING@L0', runnable: 'PENDING@L0' }],
  ['TDH.MEM.RANGE.UNBLOCK', { takes: 'mapping', initialized: 'BLOCKED(tracked)@L0', runnable: 'BLOCKED(tracked)@L0' }],
  ['TDH.MEM.RD', { takes: 'gpa', initialized: 'MAPPED@L0', runnable: 'MAPPED@L0' }],
  ['TDH.MEM.WR', { takes: 'gpa', initialized: 'MAPPED@L0', runnable: 'MAPPED@L0' }],
  ['TDH.MR.EXTEND', { takes: 'gpa', initialized: 'MAPPED@L0', runnable: 'FREE@L0', only: 'INITIALIZED' }],
  ['TDH.MEM.TRACK', { takes: 'td', initialized: 'FREE@L0', runnable: 'FREE@L0' }],
  ['TDH.MR.FINALIZE', { takes: 'td', initialized: 'FREE@L0', runnable: 'FREE@L0', only: 'INITIALIZED' }],
  ['TDH.PHYMEM.PAGE.RECLAIM', { takes: 'page', initialized: 'PENDING@L0', runnable: 'PENDING@L0' }],
  ['TDH.PHYMEM.PAGE.RDMD', { takes: 'page', initialized: 'FREE@L0', runnable: 'FREE@L0' }],
  ['TDH.VP.ENTER', { takes: 'vcpu', initialized: 'FREE@L0', runnable: 'FREE@L0' }],
  ['TDH.VP.ENTER(0-step filter active)', { takes: 'vcpu', initialized: 'FREE@L0', runnable: 'FREE@L0' }],
  ['TDH.VP.FLUSH', { takes: 'vcpu', initialized: 'FREE@L0', runnable: 'FREE@L0' }],
  ['TDG.MEM.PAGE.ACCEPT', { takes: 'guest', initialized: 'PENDING@L0', runnable: 'PENDING@L0' }],
  [RUNNING_VCPU, { takes: 'vcpu', initialized: 'FREE@L0', runnable: 'FREE@L0' }],
]);

/** What a relation says of Y, seen from X. */
interface RelationRow {
  /** Y's entry is at X's GPA, but so many levels higher. */
  readonly levels?: number;
  /** Y has an entry of its own, so many bytes further on; `next`: in the next entry of the same table. */
  readonly apart?: number | 'next';
  readonly otherTd?: true;
  readonly otherLp?: true;
  /** How the two share a physical page: both add it; one adds what the other has mapped; or one lies within the other. */
  readonly page?: 'added' | 'any' | 'inside';
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const RELATIONS: ReadonlyMap<string, RelationRow> = new Map<string, RelationRow>([
  ['sameEntry', {}],
  ['yOnParentEntry', { levels: 1 }],
  ['yOnParentEntryOfX', { levels: 1 }],
  ['yOnGrandparentEntryOfX', { levels: 2 }],
  ['yOnChildEntry', { levels: -1 }],
  ['yOnChildEntryOfX', { levels: -1 }],
  ['sameSeptPageOtherEntry', { apart: 'next' }],
  ['sameSeptPageDifferentEntry', { apart: 'next' }],
  ['different2M', { apart: 2 * MIB }],
  ['different1G', { apart: GIB }],
  ['otherSubtree', { apart: GIB }],
  ['differentTD', { otherTd: true }],
  ['samePhysicalPage', { apart: GIB, page: 'any' }],
  ['samePhysical4KOperand', { apart: GIB, page: 'added' }],
  ['differentTDsamePhysical4KOperand', { otherTd: true, page: 'added' }],
  ['y4KOperandInsideX2MOperand', { apart: GIB, page: 'inside' }],
  ['sameVCPUotherLP', { otherLp: true }],
]);

/** Entries that recordings name by where they are. */
const BY_PLACE = new Map([['L0 child', 0], ['L1 parent', 1], ['L2 grandparent', 2]]);

/** An entry that a call is about. */
interface Place {
  readonly td: number;
  readonly gpa: number;
  readonly level: number;
}

/** New pages in R8 are the caller's own: 0 for X, 1 for Y. HPA in bytes. */
const newPage = (which: number, level: number): number =>
  level === 1 ? 0x100800000 + which * 0x200000 : 0x100380000 + which * 0x1000;

const rowOf = (recorded: string): FunctionRow => {
  const row = TABLE.get(recorded);
  if (row === undefined) throw new SetupError(`there is no set-up for ${recorded}`);
  return row;
};

const hasEntry = ({ takes }: FunctionRow): boolean => takes === 'mapping' || takes === 'gpa' || takes === 'guest';
const usualEntry = (row: FunctionRow, opState: string): string =>
  opState === 'RUNNABLE' ? row.runnable : row.initialized;

/** Sets the stage for a pair. Throws a SetupError when it does not know how. */
export function setPair(stage: Stage, pair: PairName): Scene {
  const relation = RELATIONS.get(pair.relation);
  if (relation === undefined) throw new SetupError(`there is no set-up for the relation ${pair.relation}`);
  const rows = { x: rowOf(pair.x), y: rowOf(pair.y) };
  const pools = new Pools(stage);
  const places = buildEntries(stage, pools, pair, relation, rows);
  const yTd = relation.otherTd === true ? 1 : 0;
  bringTo(stage, 0, pair.opState);
  if (yTd === 1) bringTo(stage, 1, rows.y.only ?? 'RUNNABLE');

  const pages = pagesOf(stage, pair.recorder, relation, rows, places);
  const xVcpu = { td: 0, vcpu: 0, lp: lpOf(0, 0) };
  const yIndex = yTd === 0 && relation.otherLp !== true ? 1 : 0;
  const yVcpu = { td: yTd, vcpu: yIndex, lp: relation.otherLp === true ? OTHER_LP : lpOf(yTd, yIndex) };
  const enterX = prepareVcpu(stage, pair.x, xVcpu);
  const enterY = relation.otherLp === true ? null : prepareVcpu(stage, pair.y, yVcpu);
  enterY?.();
  if (pair.x === 'TDH.PHYMEM.PAGE.RECLAIM') stage.m.poke(stage.tdCell(0, TD.LIFECYCLE), TEARDOWN);
  return {
    stage,
    x: party(pair.x, operandsFor(stage, rows.x, places.x, pages.x, xVcpu, X_LP)),
    y: party(pair.y, operandsFor(stage, rows.y, places.y, pages.y, yVcpu, Y_LP)),
    watched: () => entryCell(stage, 0, places.x.gpa, places.x.level),
    enterX: enterX ?? (() => undefined),
  };
}

const X_LP = 4;
const Y_LP = 5;
const OTHER_LP = 7;

interface Rows { readonly x: FunctionRow; readonly y: FunctionRow }
interface Places { readonly x: Place; readonly y: Place }

/** Builds the entries of both, and tells where they are. */
function buildEntries(stage: Stage, pools: Pools, pair: PairName, relation: RelationRow, rows: Rows): Places {
  const { levels, apart, otherTd } = relation;
  const separate = apart !== undefined || otherTd === true;
  const first = baseEntry(pair, rows, separate);
  const base = entrySpec(first.spec);
  buildEntry(stage, pools, 0, 0, base, privatePages(0, base.level));
  const x: Place = { td: 0, gpa: 0, level: BY_PLACE.get(pair.xEntry ?? '') ?? base.level };
  if (!separate) return { x, y: { ...x, level: x.level + (levels ?? 0) } };
  const name = specified(pair.yEntry) ?? usualEntry(rows.y, otherTd === true ? rows.y.only ?? 'RUNNABLE' : pair.opState);
  const own = entrySpec(name);
  const gpa = otherTd === true ? 0 : apart === 'next' ? bytesAt(stage, own.level) : apart ?? 0;
  const td = otherTd === true ? 1 : 0;
  buildEntry(stage, pools, td, gpa, own, privatePages(1, own.level));
  return { x, y: { td, gpa, level: own.level } };
}

/** A state that the recording names, as opposed to none, or a place. */
const specified = (name: string | null): string | null => (name === null || BY_PLACE.has(name) ? null : name);

/** The entry at GPA 0: X's; if X has none, Y's; if it is named by its place, what the one at level 0 is set up with. */
function baseEntry(pair: PairName, rows: Rows, separate: boolean): { readonly spec: string } {
  const named = specified(pair.xEntry) ?? (separate ? null : specified(pair.yEntry));
  if (named !== null) return { spec: named };
  const telling = (row: FunctionRow): boolean =>
    hasEntry(row) || (row.takes === 'page' && (row === rows.x || pair.recorder === 'conflicts'));
  const usual = [rows.x, ...(separate ? [] : [rows.y])].filter(telling).map((row) => usualEntry(row, pair.opState));
  const chosen = pair.yEntry === 'L0 child' ? usual.slice(-1).filter((name) => name.endsWith('@L0')) : usual;
  return { spec: chosen.find((name) => name !== 'FREE@L0') ?? 'FREE@L0' };
}

/** From INITIALIZED to the OP_STATE of the recording. Epoch 2 begins with RUNNABLE. */
function bringTo(stage: Stage, td: number, opState: string): void {
  if (opState === 'INITIALIZED') return;
  if (opState !== 'RUNNABLE') throw new SetupError(`there is no set-up for OP_STATE ${opState}`);
  stage.m.poke(stage.tdCell(td, TD.OP_STATE), RUNNABLE);
  stage.expect('TDH.MEM.TRACK', { rcx: stage.tdrAddress(td) });
}

interface Vcpu { readonly td: number; readonly vcpu: number; readonly lp: number }

/** Brings a VCPU into the state that a function needs; answers how it gets into the guest, or null. */
function prepareVcpu(stage: Stage, recorded: string, { td, vcpu }: Vcpu): (() => void) | null {
  if (recorded.includes('0-step')) armSteppingFilter(stage, td, vcpu);
  const inGuest = recorded === RUNNING_VCPU || rowOf(recorded).takes === 'guest';
  if (!inGuest && recorded !== 'TDH.VP.FLUSH') return null;
  stage.enter(td, vcpu);
  stage.exit(td, vcpu);
  return inGuest ? () => stage.enter(td, vcpu) : null;
}

/** The page operands of both: R8, or RCX of the functions about a physical page. HPA in bytes. */
function pagesOf(
  stage: Stage, recorder: PairName['recorder'], { page }: RelationRow, rows: Rows, places: Places,
): { x: number; y: number } {
  const own = { x: newPage(0, addsLarge(rows.x, places.x) ? 1 : 0), y: newPage(1, addsLarge(rows.y, places.y) ? 1 : 0) };
  const mapped = {
    x: mappedPage(stage, rows.x, places.x),
    y: mappedPage(stage, rows.y, places.y),
  };
  const about = (row: FunctionRow): boolean => row.takes === 'page';
  if (page === 'added') return { x: own.x, y: own.x };
  if (page === 'inside') return addsLarge(rows.y, places.y) ? { x: own.y + INSIDE, y: own.y } : { x: own.x, y: own.x + INSIDE };
  if (page === 'any') {
    if (mapped.x !== null && (rows.y.addsPage === true || about(rows.y))) return { x: own.x, y: mapped.x };
    if (mapped.y !== null && (rows.x.addsPage === true || about(rows.x))) return { x: mapped.y, y: own.y };
    return about(rows.x) ? { x: own.y, y: own.y } : { x: own.x, y: own.x };
  }
  const shared = places.x.td === places.y.td;
  const unmapped = recorder === 'conflicts' ? own.x : leafPage(0, 0);
  const under = (place: Place): number | null => pageUnder(stage, place.td, place.gpa, place.level);
  if (about(rows.x) && about(rows.y) && !shared) return { x: under(places.x) ?? own.x, y: under(places.y) ?? own.y };
  if (about(rows.x)) {
    const x = under(places.x) ?? unmapped;
    return { x, y: rows.y.addsPage === true && shared ? (x === own.x ? x : own.y) : about(rows.y) ? x : own.y };
  }
  return { x: own.x, y: about(rows.y) ? under(places.y) ?? (shared ? unmapped : own.y) : own.y };
}

/** An offset within a 2 MiB page. */
const INSIDE = 0x3000;

/** Only PAGE.AUG of a 2 MiB page adds a large one; SEPT.ADD and DEMOTE add a table. */
const addsLarge = (row: FunctionRow, { level }: Place): boolean => row === TABLE.get('TDH.MEM.PAGE.AUG') && level === 1;

const mappedPage = (stage: Stage, row: FunctionRow, { td, gpa, level }: Place): number | null =>
  row.locksPage === true ? pageUnder(stage, td, gpa, level) : null;

function operandsFor(
  stage: Stage, row: FunctionRow, { td, gpa, level }: Place, page: number, vcpu: Vcpu, lp: number,
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
