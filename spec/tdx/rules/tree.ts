/**
 * The Secure EPT and PAMT as rules look at them: within one step, past blocked tables, without
 * locks.
 */
import { isLeaf, isTable, pageOf, type Entry } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { EPT, Pamt, pageTypeName, REG, SIZES, TDR, TDVPR } from '../pamt.ts';
import { KEYS_CONFIGURED, MIN_TDCX, TD, UNINITIALIZED } from '../td.ts';

/**
 * The page of the table that holds the entry for `gfn` at `level`, or -1 when the tree does not
 * reach it.
 */
export function tableAt(tdx: TdxModule, tdr: number, gfn: number, level: number): number {
  let table = field(tdx, tdr, TD.SEPT_ROOT);
  for (let at = field(tdx, tdr, TD.ROOT_LEVEL); at > level; at--) {
    const e = tdx.m.peek(tdx.memory.word(table, tdx.geometry.index(gfn, at)));
    if (!isTable(e)) return -1;
    table = pageOf(e);
  }
  return table;
}

const field = (tdx: TdxModule, tdr: number, index: number): number =>
  tdx.m.peek(tdx.memory.word(tdr, index));

/** What PAMT says of the page of an entry at `level`, when it is not what it should say; else null. */
export function disagreement(tdx: TdxModule, e: Entry, level: number, tdr: number): string | null {
  const page = targetOf(tdx, e, level);
  if (page < 0) return null;
  const meta = tdx.m.peek(tdx.pamt.meta(page, sizeOfTarget(e, level)));
  const wanted = isTable(e) ? EPT : REG;
  if (Pamt.typeOf(meta) === wanted && Pamt.ownerOf(meta) === tdr) return null;
  return `PAMT says ${pageTypeName(Pamt.typeOf(meta))}, owner ${Pamt.ownerOf(meta)}`;
}

/** The size of what an entry at `level` points to: a table is 4 KiB. */
const sizeOfTarget = (e: Entry, level: number): number => (isTable(e) ? 0 : level);

/**
 * The page, of whatever size, that an entry at `level` points to, without an ACCEPT counter; -1:
 * none.
 */
export const targetOf = (tdx: TdxModule, e: Entry, level: number): number =>
  isLeaf(e) || isTable(e) ? tdx.geometry.align(pageOf(e), sizeOfTarget(e, level)) : -1;

/** TDVPR pages of a TD. */
export function vcpusOf(tdx: TdxModule, tdr: number): number[] {
  const vcpus: number[] = [];
  tdx.pamt.forEachAssigned(0, (page, type, owner) => {
    if (type === TDVPR && owner === tdr) vcpus.push(page);
  });
  return vcpus;
}

/** The TDs that have a Secure EPT, by page number of their TDR. */
export function tdsOf(tdx: TdxModule): number[] {
  const tds: number[] = [];
  tdx.pamt.forEachAssigned(0, (page, type) => {
    if (type === TDR && hasTree(tdx, page)) tds.push(page);
  });
  return tds;
}

const hasTree = (tdx: TdxModule, tdr: number): boolean =>
  field(tdx, tdr, TD.LIFECYCLE) === KEYS_CONFIGURED &&
  field(tdx, tdr, TD.NUM_TDCX) >= MIN_TDCX &&
  field(tdx, tdr, TD.OP_STATE) !== UNINITIALIZED;

/** 4 KiB pages that PAMT assigns to a TD, its TDR not counted. */
export function ownedPages(tdx: TdxModule, tdr: number): number {
  let owned = 0;
  for (let size = 0; size < SIZES.length; size++) {
    const span = tdx.geometry.span(size);
    tdx.pamt.forEachAssigned(size, (_page, _type, owner) => {
      if (owner === tdr) owned += span;
    });
  }
  return owned;
}

/**
 * Where the whole tree of a TD and PAMT disagree, or null: a page with another type or owner than
 * its entry asks for, a page that two entries map, a page that PAMT gives to the tree and no entry
 * points to.
 */
export function treeDisagreement(tdx: TdxModule, tdr: number): string | null {
  const pointedTo = new Set<number>();
  return (
    below(tdx, tdr, field(tdx, tdr, TD.SEPT_ROOT), field(tdx, tdr, TD.ROOT_LEVEL), pointedTo) ??
    unreached(tdx, tdr, pointedTo)
  );
}

/** The same for what is below a table; collects the pages that entries point to. */
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

/** A page that PAMT says is in the tree of a TD and that is not `pointedTo`, or null. */
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
