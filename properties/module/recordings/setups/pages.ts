/**
 * The physical pages of the Secure EPT pairs: R8 of functions that add a page, RCX of functions
 * about a page.
 *
 * Source: the PAMT locks on which the recorded calls fail.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { TD } from '../../../../spec/tdx/td.ts';
import { leafPage, pageUnder } from './entries.ts';
import type { FunctionRow } from './functions.ts';
import type { Relation } from './relations.ts';
import type { Testbed } from './testbed.ts';

/** An entry that a call is about. */
export interface EntryLocation {
  readonly td: number;
  readonly gpa: number;
  readonly level: number;
}

/** X's and Y's. */
export interface Pair<T> {
  readonly x: T;
  readonly y: T;
}

/** HPA (bytes) of a caller's own new page: number 0 is X's, 1 is Y's. */
const newPage = (testbed: Testbed, which: number, isLarge: boolean): number =>
  isLarge ? testbed.conventions.newLargePage + which * 0x200000 : 0x100380000 + which * PAGE_BYTES;

/** An offset within a 2M page. */
const INSIDE = 0x3000;

const isLarge = ({ adds }: FunctionRow, { level }: EntryLocation): boolean =>
  adds === 'sized page' && level === 1;
const isAbout = ({ takes }: FunctionRow): boolean => takes === 'page';

/** Both page operands, HPAs in bytes, of a pair of that recording. */
export function pageOperands(
  testbed: Testbed,
  relation: Relation,
  rows: Pair<FunctionRow>,
  entries: Pair<EntryLocation>,
  recorder: 'conflicts' | 'stepwise',
): Pair<number> {
  const own = {
    x: newPage(testbed, 0, isLarge(rows.x, entries.x)),
    y: newPage(testbed, 1, isLarge(rows.y, entries.y)),
  };
  switch (relation.page) {
    case 'added':
      return { x: own.x, y: own.x };
    case 'inside':
      return isLarge(rows.y, entries.y)
        ? { x: own.y + INSIDE, y: own.y }
        : { x: own.x, y: own.x + INSIDE };
    case 'any':
      return sharedPage(testbed, rows, entries, own);
    default:
      return ownPages(testbed, rows, entries, own, unmappedPage(testbed, recorder, own));
  }
}

/**
 * The page at which the recorder aimed a function about a page if the entry is FREE: a table of the
 * TD, or else for `conflicts.json` the page that X would add, for `stepwise.jsonl` the page that a
 * leaf of the entry would have.
 */
function unmappedPage(
  testbed: Testbed,
  recorder: 'conflicts' | 'stepwise',
  own: Pair<number>,
): number {
  if (testbed.conventions.readsTableOfTd)
    return testbed.address(testbed.m.peek(testbed.tdCell(0, TD.SEPT_ROOT)));
  return recorder === 'conflicts' ? own.x : leafPage(0, 0);
}

/** One adds, or is about, the page that the other has mapped; else both get the same new page. */
function sharedPage(
  testbed: Testbed,
  rows: Pair<FunctionRow>,
  entries: Pair<EntryLocation>,
  own: Pair<number>,
): Pair<number> {
  const locked = (row: FunctionRow, entry: EntryLocation): number | null =>
    row.locksPage === true ? under(testbed, entry) : null;
  const canTake = (row: FunctionRow): boolean => row.adds !== undefined || isAbout(row);
  const mapped = { x: locked(rows.x, entries.x), y: locked(rows.y, entries.y) };
  if (mapped.x !== null && canTake(rows.y)) return { x: own.x, y: mapped.x };
  if (mapped.y !== null && canTake(rows.x)) return { x: mapped.y, y: own.y };
  return isAbout(rows.x) ? { x: own.y, y: own.y } : { x: own.x, y: own.x };
}

/** Each has its own page; a function about a page is about the page under its entry. */
function ownPages(
  testbed: Testbed,
  rows: Pair<FunctionRow>,
  entries: Pair<EntryLocation>,
  own: Pair<number>,
  unmapped: number,
): Pair<number> {
  const isShared = entries.x.td === entries.y.td;
  const x = isAbout(rows.x) ? (under(testbed, entries.x) ?? unmapped) : own.x;
  if (isAbout(rows.y)) return { x, y: under(testbed, entries.y) ?? (isShared ? unmapped : own.y) };
  const isXAddedByY = isAbout(rows.x) && isShared && rows.y.adds !== undefined && x === own.x;
  return { x, y: isXAddedByY ? x : own.y };
}

const under = (testbed: Testbed, { td, gpa, level }: EntryLocation): number | null =>
  pageUnder(testbed, td, gpa, level);
