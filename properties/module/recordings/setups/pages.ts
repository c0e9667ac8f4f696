/**
 * The physical pages of the Secure EPT pairs: R8 of functions that add a page, RCX of those that
 * are about one.
 *
 * Source: the PAMT locks that the recorded calls fail on.
 */
import { leafPage, pageUnder } from './entries.ts';
import type { FunctionRow } from './functions.ts';
import type { Relation } from './relations.ts';
import type { Stage } from './setups.ts';

/** An entry that a call is about. */
export interface Place {
  readonly td: number;
  readonly gpa: number;
  readonly level: number;
}

/** X's and Y's. */
export interface Pair<T> {
  readonly x: T;
  readonly y: T;
}

/** A caller's own new page: number 0 is X's, 1 is Y's. HPA in bytes. */
const newPage = (which: number, isLarge: boolean): number =>
  isLarge ? 0x100800000 + which * 0x200000 : 0x100380000 + which * 0x1000;

/** An offset within a 2 MiB page. */
const INSIDE = 0x3000;

const isLarge = ({ adds }: FunctionRow, { level }: Place): boolean =>
  adds === 'sized page' && level === 1;
const isAbout = ({ takes }: FunctionRow): boolean => takes === 'page';

/**
 * Both page operands, HPAs in bytes. Where an entry is FREE, `conflicts.json` aims a function about
 * a page at the page that X would add, `stepwise.jsonl` at the one that a leaf there would have:
 * `unmapped`.
 */
export function pageOperands(
  stage: Stage,
  relation: Relation,
  rows: Pair<FunctionRow>,
  places: Pair<Place>,
  unmapped: 'added' | 'leaf',
): Pair<number> {
  const own = {
    x: newPage(0, isLarge(rows.x, places.x)),
    y: newPage(1, isLarge(rows.y, places.y)),
  };
  switch (relation.page) {
    case 'added':
      return { x: own.x, y: own.x };
    case 'inside':
      return isLarge(rows.y, places.y)
        ? { x: own.y + INSIDE, y: own.y }
        : { x: own.x, y: own.x + INSIDE };
    case 'any':
      return sharedPage(stage, rows, places, own);
    default:
      return ownPages(stage, rows, places, own, unmapped === 'added' ? own.x : leafPage(0, 0));
  }
}

/** One of them adds, or is about, what the other has mapped; else both are given the same new page. */
function sharedPage(
  stage: Stage,
  rows: Pair<FunctionRow>,
  places: Pair<Place>,
  own: Pair<number>,
): Pair<number> {
  const locked = (row: FunctionRow, place: Place): number | null =>
    row.locksPage === true ? under(stage, place) : null;
  const canTake = (row: FunctionRow): boolean => row.adds !== undefined || isAbout(row);
  const mapped = { x: locked(rows.x, places.x), y: locked(rows.y, places.y) };
  if (mapped.x !== null && canTake(rows.y)) return { x: own.x, y: mapped.x };
  if (mapped.y !== null && canTake(rows.x)) return { x: mapped.y, y: own.y };
  return isAbout(rows.x) ? { x: own.y, y: own.y } : { x: own.x, y: own.x };
}

/** Each its own; a function about a page is about the one under the entry. */
function ownPages(
  stage: Stage,
  rows: Pair<FunctionRow>,
  places: Pair<Place>,
  own: Pair<number>,
  unmapped: number,
): Pair<number> {
  const isShared = places.x.td === places.y.td;
  const x = isAbout(rows.x) ? (under(stage, places.x) ?? unmapped) : own.x;
  if (isAbout(rows.y)) return { x, y: under(stage, places.y) ?? (isShared ? unmapped : own.y) };
  const isXAddedByY = isAbout(rows.x) && isShared && rows.y.adds !== undefined && x === own.x;
  return { x, y: isXAddedByY ? x : own.y };
}

const under = (stage: Stage, { td, gpa, level }: Place): number | null =>
  pageUnder(stage, td, gpa, level);
