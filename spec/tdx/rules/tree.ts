/**
 * The Secure EPT and PAMT as rules read them: within one step, without locks, and through blocked
 * tables.
 */
import type { Cell } from '../../machine/machine.ts';
import { isLeaf, isTable, NL_BLOCKED, pageOf, stateOf, type Entry } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { EPT, Pamt, pageTypeName, REG, SIZES } from '../pamt.ts';
import { TD } from '../td.ts';
import { fieldOf } from './tds.ts';

/**
 * The page of the table that holds the entry for `gfn` at `level`, or -1 when the tree does not
 * reach it.
 */
export function tableAt(tdx: TdxModule, tdr: number, gfn: number, level: number): number {
  let table = fieldOf(tdx, tdr, TD.SEPT_ROOT);
  for (let at = fieldOf(tdx, tdr, TD.ROOT_LEVEL); at > level; at--) {
    const e = tdx.m.peek(tdx.memory.word(table, tdx.geometry.index(gfn, at)));
    if (!isTable(e)) return -1;
    table = pageOf(e);
  }
  return table;
}

/** The tables from the root to the one with the entry for `gfn` at `level`, if they exist. */
export const tablesTo = (tdx: TdxModule, tdr: number, gfn: number, level: number): number[] => {
  const tables: number[] = [];
  for (let at = fieldOf(tdx, tdr, TD.ROOT_LEVEL); at >= level; at--)
    tables.push(tableAt(tdx, tdr, gfn, at));
  return tables.filter((table) => table >= 0);
};

/** The cell of the topmost blocked entry above the one for `gfn` at `level`, or -1. */
export function blockedAbove(tdx: TdxModule, tdr: number, gfn: number, level: number): Cell {
  for (let at = fieldOf(tdx, tdr, TD.ROOT_LEVEL); at > level; at--) {
    const table = tableAt(tdx, tdr, gfn, at);
    if (table < 0) return -1;
    const cell = tdx.memory.word(table, tdx.geometry.index(gfn, at));
    if (stateOf(tdx.m.peek(cell)) === NL_BLOCKED) return cell;
  }
  return -1;
}

/** Whether the Secure EPT of a TD reaches the table in page `table`. */
export function isInTree(tdx: TdxModule, tdr: number, table: number): boolean {
  const root = fieldOf(tdx, tdr, TD.SEPT_ROOT);
  return reaches(tdx, root, fieldOf(tdx, tdr, TD.ROOT_LEVEL), table);
}

/** Whether `from`, whose entries are of `level`, is the table, or leads to it. */
function reaches(tdx: TdxModule, from: number, level: number, table: number): boolean {
  if (from === table) return true;
  if (level === 0) return false;
  for (let i = 0; i < tdx.geometry.fanout; i++) {
    const e = tdx.m.peek(tdx.memory.word(from, i));
    if (isTable(e) && reaches(tdx, pageOf(e), level - 1, table)) return true;
  }
  return false;
}

/** PAMT's type and owner of the target of an entry at `level`, if they contradict it; else null. */
export function disagreement(tdx: TdxModule, e: Entry, level: number, tdr: number): string | null {
  const page = targetOf(tdx, e, level);
  if (page < 0) return null;
  const meta = tdx.m.peek(tdx.pamt.meta(page, sizeOfTarget(e, level)));
  const wanted = isTable(e) ? EPT : REG;
  if (Pamt.typeOf(meta) === wanted && Pamt.ownerOf(meta) === tdr) return null;
  return `PAMT: ${pageTypeName(Pamt.typeOf(meta))}, owner ${Pamt.ownerOf(meta)}`;
}

/** The size of what an entry at `level` points to: a table is 4K. */
const sizeOfTarget = (e: Entry, level: number): number => (isTable(e) ? 0 : level);

/**
 * The first page that an entry at `level` points to, without an ACCEPT counter; -1 when it points
 * to none.
 */
export const targetOf = (tdx: TdxModule, e: Entry, level: number): number =>
  isLeaf(e) || isTable(e) ? tdx.geometry.align(pageOf(e), sizeOfTarget(e, level)) : -1;

/**
 * The first disagreement between the whole tree of a TD and PAMT, or null: a page whose type or
 * owner is not the one of its entry, a page that two entries map, or a page that PAMT assigns to
 * the tree and no entry points to.
 */
export function treeDisagreement(tdx: TdxModule, tdr: number): string | null {
  const [root, level] = [fieldOf(tdx, tdr, TD.SEPT_ROOT), fieldOf(tdx, tdr, TD.ROOT_LEVEL)];
  const pointedTo = new Set<number>();
  return below(tdx, tdr, root, level, pointedTo) ?? unreached(tdx, tdr, pointedTo);
}

/** The first disagreement below a table; collects the pages that entries point to. */
function below(
  tdx: TdxModule,
  tdr: number,
  table: number,
  level: number,
  pointedTo: Set<number>,
): string | null {
  for (let i = 0; i < tdx.geometry.fanout; i++) {
    const e = tdx.m.peek(tdx.memory.word(table, i));
    const first = targetOf(tdx, e, level);
    if (first < 0) continue;
    for (let page = first; page < first + tdx.geometry.span(sizeOfTarget(e, level)); page++) {
      if (pointedTo.has(page)) return `two entries point to page ${page}`;
      pointedTo.add(page);
    }
    const seen =
      disagreement(tdx, e, level, tdr) ??
      (isTable(e) ? below(tdx, tdr, first, level - 1, pointedTo) : null);
    if (seen !== null) return seen;
  }
  return null;
}

/** The first page that PAMT assigns to the tree of a TD and that is not `pointedTo`, or null. */
function unreached(tdx: TdxModule, tdr: number, pointedTo: ReadonlySet<number>): string | null {
  let seen: string | null = null;
  for (let size = 0; size < SIZES.length; size++) {
    tdx.pamt.forEachAssigned(size, (page, type, owner) => {
      if ((type !== REG && type !== EPT) || owner !== tdr || pointedTo.has(page)) return;
      seen ??= `no entry points to page ${page}, ${pageTypeName(type)}`;
    });
  }
  return seen;
}
