/**
 * Builds Secure EPT entries by the names that pair recordings give to their states, such as
 * `NL_BLOCKED(tracked,512xPENDING)@L1`, from a FREE entry in a TD that is INITIALIZED.
 *
 * An entry is blocked in epoch 1; the one TDH.MEM.TRACK that every RUNNABLE set-up ends with makes
 * it "tracked". Source: TD_EPOCH and BEPOCH in the events of `stepwise.jsonl`.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import {
  BLOCKED,
  FREE,
  isLeaf,
  isWalkable,
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
import { SetupError, type Testbed } from './testbed.ts';

export interface EntrySpec {
  readonly state: EntryState;
  readonly level: number;
  /** Tables only: the state of all 512 entries of the table below. */
  readonly children: EntryState;
  /** Blocked, and a TDH.MEM.TRACK has ended the epoch since. */
  readonly isTracked: boolean;
  /** Blocked, and none has. */
  readonly isUntracked: boolean;
}

const NAME = /^([A-Z_]+)(?:\(([^)]*)\))?@L(\d)$/;

const stateNamed = (name: string): EntryState => STATES.findIndex((row) => row.name === name);

/** Reads a state's name. @throws SetupError if there is no such state */
export function entrySpec(name: string): EntrySpec {
  const [, stateText = '', detailText = '', level] = NAME.exec(name) ?? [];
  const details = detailText.split(',');
  const state = stateNamed(stateText);
  const children = stateNamed(
    details.find((detail) => detail.startsWith('512x'))?.slice(4) ?? stateName(FREE),
  );
  const construction = CONSTRUCTIONS.get(state);
  if (construction === undefined || children < 0)
    throw new SetupError(`there is no set-up for an entry ${name}`);
  return {
    state,
    level: Number(level),
    children,
    isTracked: construction.isBlocked && details.includes('tracked'),
    isUntracked: construction.isBlocked && !details.includes('tracked'),
  };
}

/** The calls that lead to a state: a page or table is added, accepted, and its range blocked. */
interface Construction {
  readonly adds: 'nothing' | 'page' | 'table';
  readonly isAccepted: boolean;
  readonly isBlocked: boolean;
}

const by = (adds: Construction['adds'], isAccepted: boolean, isBlocked: boolean): Construction => ({
  adds,
  isAccepted,
  isBlocked,
});

const CONSTRUCTIONS: ReadonlyMap<EntryState, Construction> = new Map([
  [FREE, by('nothing', false, false)],
  [PENDING, by('page', false, false)],
  [MAPPED, by('page', true, false)],
  [PENDING_BLOCKED, by('page', false, true)],
  [BLOCKED, by('page', true, true)],
  [NL_MAPPED, by('table', false, false)],
  [NL_BLOCKED, by('table', false, true)],
]);

const LARGE_BYTES = 0x200000;

/** Hands out consecutive pages of a size, as HPAs in bytes. */
export class PagePool {
  private nextSmall: number;
  private nextLarge = 0x100800000;

  constructor(first = 0x100200000) {
    this.nextSmall = first;
  }

  /** A 4K page. */
  small(): number {
    this.nextSmall += PAGE_BYTES;
    return this.nextSmall - PAGE_BYTES;
  }

  /** A 2M page. */
  large(): number {
    this.nextLarge += LARGE_BYTES;
    return this.nextLarge - LARGE_BYTES;
  }
}

/** HPA (bytes) of the leaf page of entry number `which` of a set-up (0: X's, 1: Y's). */
export const leafPage = (which: number, level: number): number =>
  level === 0 ? 0x100300000 + which * PAGE_BYTES : 0x100c00000 + which * LARGE_BYTES;
/** The first of the 512 pages below a table of entry number `which`. */
const childPages = (which: number): number => 0x101000000 + which * LARGE_BYTES;

/** Bytes that an entry at `level` maps. */
export const bytesAt = (testbed: Testbed, level: number): number =>
  testbed.tdx.geometry.span(level) * PAGE_BYTES;

/** The entry's cell, whatever the states of the entries above it; -1 if there is no table. */
export function entryCell(testbed: Testbed, td: number, gpa: number, level: number): number {
  const { tdx, m } = testbed;
  const gfn = gpa / PAGE_BYTES;
  let table = m.peek(testbed.tdCell(td, TD.SEPT_ROOT));
  for (let at = m.peek(testbed.tdCell(td, TD.ROOT_LEVEL)); ; at--) {
    const cell = tdx.memory.word(table, tdx.geometry.index(gfn, at));
    if (at === level) return cell;
    const entry = m.peek(cell);
    if (isLeaf(entry) || pageOf(entry) === 0) return -1;
    table = pageOf(entry);
  }
}

/** Adds the tables that are missing above the entry. */
export function buildTables(
  testbed: Testbed,
  pool: PagePool,
  td: number,
  gpa: number,
  level: number,
): void {
  for (let at = testbed.m.peek(testbed.tdCell(td, TD.ROOT_LEVEL)); at > level; at--) {
    if (entryCell(testbed, td, gpa, at - 1) >= 0) continue;
    addTable(testbed, pool, td, gpa - (gpa % bytesAt(testbed, at)), at);
  }
}

const addTable = (testbed: Testbed, pool: PagePool, td: number, gpa: number, level: number): void =>
  testbed.expect('TDH.MEM.SEPT.ADD', {
    rcx: gpa + level,
    rdx: testbed.tdrAddress(td),
    r8: pool.small(),
  });

const addPage = (testbed: Testbed, td: number, gpa: number, level: number, r8: number): void =>
  testbed.expect('TDH.MEM.PAGE.AUG', { rcx: gpa + level, rdx: testbed.tdrAddress(td), r8 });

/** Leaves the entry as a guest's TDG.MEM.PAGE.ACCEPT would. */
export function accept(testbed: Testbed, td: number, gpa: number, level: number): void {
  const cell = entryCell(testbed, td, gpa, level);
  testbed.m.poke(cell, withState(testbed.m.peek(cell), MAPPED));
}

/** Takes the private pages of an entry: its leaf, and the 512 below a table. HPAs in bytes. */
interface PrivatePages {
  readonly leaf: (level: number) => number;
  /** The first of the 512. */
  readonly children: () => number;
}

/** The pages of entry number `which` of a pair (0: X's, 1: Y's). */
export const pagesByEntry = (which: number): PrivatePages => ({
  leaf: (level) => leafPage(which, level),
  children: () => childPages(which),
});

/** The next pages of a pool, which tables take 4K pages from as well. */
export const pagesFromPool = (pool: PagePool): PrivatePages => ({
  leaf: (level) => (level === 0 ? pool.small() : pool.large()),
  children: () => pool.large(),
});

/** Builds an entry, with the tables above it. */
export function buildEntry(
  testbed: Testbed,
  pool: PagePool,
  td: number,
  gpa: number,
  spec: EntrySpec,
  pages: PrivatePages,
): void {
  const { level, state, children } = spec;
  // entrySpec() has checked
  const { adds, isAccepted, isBlocked } = CONSTRUCTIONS.get(state) as Construction;
  buildTables(testbed, pool, td, gpa, level);
  if (adds === 'page') addPage(testbed, td, gpa, level, pages.leaf(level));
  if (adds === 'table') addTable(testbed, pool, td, gpa, level);
  if (isAccepted) accept(testbed, td, gpa, level);
  if (adds === 'table' && children !== FREE)
    fillTable(testbed, td, gpa, level - 1, children, pages.children());
  if (isBlocked)
    testbed.expect('TDH.MEM.RANGE.BLOCK', { rcx: gpa + level, rdx: testbed.tdrAddress(td) });
}

function fillTable(
  testbed: Testbed,
  td: number,
  gpa: number,
  level: number,
  state: EntryState,
  first: number,
): void {
  const size = bytesAt(testbed, level);
  for (let i = 0; i < testbed.tdx.geometry.fanout; i++) {
    addPage(testbed, td, gpa + i * size, level, first + i * size);
    if (state === MAPPED) accept(testbed, td, gpa + i * size, level);
  }
}

/** Moves the blocking of an entry to the current epoch. */
export function blockAgain(testbed: Testbed, td: number, gpa: number, level: number): void {
  const { pamt } = testbed.tdx;
  const entry = testbed.m.peek(entryCell(testbed, td, gpa, level));
  const epoch = testbed.m.peek(testbed.tdCell(td, TD.TD_EPOCH));
  testbed.m.poke(pamt.bepoch(pageOf(entry), isLeaf(entry) ? level : 0), epoch);
}

/** The cell of the entry at which the module's walk to an entry of `level` ends. */
export function reachedCell(testbed: Testbed, td: number, gpa: number, level: number): number {
  const { tdx, m } = testbed;
  let table = m.peek(testbed.tdCell(td, TD.SEPT_ROOT));
  for (let at = m.peek(testbed.tdCell(td, TD.ROOT_LEVEL)); ; at--) {
    const cell = tdx.memory.word(table, tdx.geometry.index(gpa / PAGE_BYTES, at));
    const entry = m.peek(cell);
    if (at === level || !isWalkable(entry)) return cell;
    table = pageOf(entry);
  }
}

/** HPA (bytes) of the leaf or table that an entry points to, or null. */
export function pageUnder(testbed: Testbed, td: number, gpa: number, level: number): number | null {
  const cell = entryCell(testbed, td, gpa, level);
  const isReached =
    !testbed.conventions.walksToEntry || cell === reachedCell(testbed, td, gpa, level);
  const entry: Entry = cell < 0 || !isReached ? 0 : testbed.m.peek(cell);
  return pageOf(entry) === 0 ? null : testbed.address(pageOf(entry));
}
