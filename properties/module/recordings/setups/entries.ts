/**
 * Secure EPT entries by the names that pair recordings give to their states, such as
 * `NL_BLOCKED(tracked,512xPENDING)@L1`: how each is built from a FREE entry in a TD that is
 * INITIALIZED.
 *
 * An entry is blocked in epoch 1; the one TDH.MEM.TRACK that every RUNNABLE set-up ends with makes
 * it "tracked". Source: TD_EPOCH and BEPOCH in the events of `stepwise.jsonl`.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import {
  BLOCKED,
  FREE,
  isLeaf,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  stateName,
  STATES,
  withState,
  type Entry,
  type EntryState,
} from '../../../../spec/tdx/entry.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import { SetupError, type Stage } from './setups.ts';

export interface EntrySpec {
  readonly state: EntryState;
  readonly level: number;
  /** For tables: the state of all 512 entries of the page below. */
  readonly children: EntryState;
  /** Blocked, but no TDH.MEM.TRACK has ended the epoch since. */
  readonly isUntracked: boolean;
}

const NAME = /^([A-Z_]+)(?:\(([^)]*)\))?@L(\d)$/;

const stateNamed = (name: string): EntryState => STATES.findIndex((row) => row.name === name);

/** Reads a state's name, or throws a SetupError. */
export function entrySpec(name: string): EntrySpec {
  const [, stateText = '', detailText = '', level] = NAME.exec(name) ?? [];
  const details = detailText.split(',');
  const state = stateNamed(stateText);
  const children = stateNamed(
    details.find((detail) => detail.startsWith('512x'))?.slice(4) ?? stateName(FREE),
  );
  const how = BUILD.get(state);
  if (how === undefined || children < 0)
    throw new SetupError(`there is no set-up for an entry ${name}`);
  return {
    state,
    level: Number(level),
    children,
    isUntracked: how.isBlocked && !details.includes('tracked'),
  };
}

/** How a state comes about: a page or table is added, a guest accepts it, and the range is blocked. */
interface Way {
  readonly adds: 'nothing' | 'page' | 'table';
  readonly isAccepted: boolean;
  readonly isBlocked: boolean;
}

const way = (adds: Way['adds'], isAccepted: boolean, isBlocked: boolean): Way => ({
  adds,
  isAccepted,
  isBlocked,
});

const BUILD: ReadonlyMap<EntryState, Way> = new Map([
  [FREE, way('nothing', false, false)],
  [PENDING, way('page', false, false)],
  [MAPPED, way('page', true, false)],
  [PENDING_BLOCKED, way('page', false, true)],
  [BLOCKED, way('page', true, true)],
  [NL_MAPPED, way('table', false, false)],
  [NL_BLOCKED, way('table', false, true)],
]);

/** Where Secure EPT pages come from: one after the other, as HPAs in bytes. */
export class Pools {
  private next: number;

  constructor(firstTable = 0x100200000) {
    this.next = firstTable;
  }

  nextTable(): number {
    const table = this.next;
    this.next += PAGE_BYTES;
    return table;
  }
}

/** The leaf page of entry number `which` of a set-up (0: X's, 1: Y's), at a level; HPA in bytes. */
export const leafPage = (which: number, level: number): number =>
  level === 0 ? 0x100300000 + which * 0x1000 : 0x100c00000 + which * 0x200000;
/** The first of the 512 pages below a table of entry number `which`. */
const childPages = (which: number): number => 0x101000000 + which * 0x200000;

/** Bytes that an entry at `level` maps. */
export const bytesAt = (stage: Stage, level: number): number =>
  stage.tdx.geometry.span(level) * PAGE_BYTES;

/** The entry's cell, whatever the entries above it say, or -1 when there is no table. */
export function entryCell(stage: Stage, td: number, gpa: number, level: number): number {
  const { tdx, m } = stage;
  const gfn = gpa / PAGE_BYTES;
  let table = m.peek(stage.tdCell(td, TD.SEPT_ROOT));
  for (let at = m.peek(stage.tdCell(td, TD.ROOT_LEVEL)); ; at--) {
    const cell = tdx.memory.word(table, tdx.geometry.index(gfn, at));
    if (at === level) return cell;
    const entry = m.peek(cell);
    if (isLeaf(entry) || pageOf(entry) === 0) return -1;
    table = pageOf(entry);
  }
}

/** Adds the tables that are missing above the entry. */
export function buildTables(
  stage: Stage,
  pools: Pools,
  td: number,
  gpa: number,
  level: number,
): void {
  for (let at = stage.m.peek(stage.tdCell(td, TD.ROOT_LEVEL)); at > level; at--) {
    if (entryCell(stage, td, gpa, at - 1) >= 0) continue;
    addTable(stage, pools, td, gpa - (gpa % bytesAt(stage, at)), at);
  }
}

const addTable = (stage: Stage, pools: Pools, td: number, gpa: number, level: number): void =>
  stage.expect('TDH.MEM.SEPT.ADD', {
    rcx: gpa + level,
    rdx: stage.tdrAddress(td),
    r8: pools.nextTable(),
  });

const addPage = (stage: Stage, td: number, gpa: number, level: number, r8: number): void =>
  stage.expect('TDH.MEM.PAGE.AUG', { rcx: gpa + level, rdx: stage.tdrAddress(td), r8 });

/** What a guest's TDG.MEM.PAGE.ACCEPT would leave. */
export function accept(stage: Stage, td: number, gpa: number, level: number): void {
  const cell = entryCell(stage, td, gpa, level);
  stage.m.poke(cell, withState(stage.m.peek(cell), MAPPED));
}

/**
 * Where an entry's private pages are: its leaf, or the first of the 512 below a table. HPA in
 * bytes.
 */
export interface PrivatePages {
  readonly leaf: number;
  readonly children: number;
}

/** The pages of entry number `which` of a pair (0: X's, 1: Y's). */
export const privatePages = (which: number, level: number): PrivatePages => ({
  leaf: leafPage(which, level),
  children: childPages(which),
});

/** Builds an entry, with the tables above it. */
export function buildEntry(
  stage: Stage,
  pools: Pools,
  td: number,
  gpa: number,
  spec: EntrySpec,
  pages: PrivatePages,
): void {
  const { level, state, children } = spec;
  const { adds, isAccepted, isBlocked } = BUILD.get(state) as Way; // entrySpec() has looked
  buildTables(stage, pools, td, gpa, level);
  if (adds === 'page') addPage(stage, td, gpa, level, pages.leaf);
  if (adds === 'table') addTable(stage, pools, td, gpa, level);
  if (isAccepted) accept(stage, td, gpa, level);
  if (adds === 'table' && children !== FREE)
    fillTable(stage, td, gpa, level - 1, children, pages.children);
  if (isBlocked)
    stage.expect('TDH.MEM.RANGE.BLOCK', { rcx: gpa + level, rdx: stage.tdrAddress(td) });
}

function fillTable(
  stage: Stage,
  td: number,
  gpa: number,
  level: number,
  state: EntryState,
  first: number,
): void {
  const size = bytesAt(stage, level);
  for (let i = 0; i < stage.tdx.geometry.fanout; i++) {
    addPage(stage, td, gpa + i * size, level, first + i * size);
    if (state === MAPPED) accept(stage, td, gpa + i * size, level);
  }
}

/** A blocked entry as if TDH.MEM.RANGE.BLOCK had been called only now. */
export function blockAgain(stage: Stage, td: number, gpa: number, level: number): void {
  const { pamt } = stage.tdx;
  const entry = stage.m.peek(entryCell(stage, td, gpa, level));
  const epoch = stage.m.peek(stage.tdCell(td, TD.TD_EPOCH));
  stage.m.poke(pamt.bepoch(pageOf(entry), isLeaf(entry) ? level : 0), epoch);
}

/** The page that an entry leads to, leaf or table, as an HPA in bytes; or null. */
export function pageUnder(stage: Stage, td: number, gpa: number, level: number): number | null {
  const cell = entryCell(stage, td, gpa, level);
  const entry: Entry = cell < 0 ? 0 : stage.m.peek(cell);
  return pageOf(entry) === 0 ? null : stage.address(pageOf(entry));
}
