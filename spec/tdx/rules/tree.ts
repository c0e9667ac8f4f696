/** The Secure EPT and PAMT as rules look at them: within one step, past blocked tables, without locks. */
import { isLeaf, isTable, pageOf, type Entry } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { EPT, NDA, Pamt, pageTypeName, REG, SIZES, TDR, TDVPR } from '../pamt.ts';
import { KEYS_CONFIGURED, MIN_TDCX, TD, UNINITIALIZED } from '../td.ts';

/** The page of the table that holds the entry for `gfn` at `level`, or -1 when the tree does not reach it. */
export function tableAt(tdx: TdxModule, tdr: number, gfn: number, level: number): number {
  let table = field(tdx, tdr, TD.SEPT_ROOT);
  for (let at = field(tdx, tdr, TD.ROOT_LEVEL); at > level; at--) {
    const e = tdx.m.peek(tdx.memory.word(table, tdx.geometry.index(gfn, at)));
    if (!isTable(e)) return -1;
    table = pageOf(e);
  }
  return table;
}

const field = (tdx: TdxModule, tdr: number, index: number): number => tdx.m.peek(tdx.memory.word(tdr, index));

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

/** The page, of whatever size, that an entry at `level` points to, without an ACCEPT counter; -1: none. */
export const targetOf = (tdx: TdxModule, e: Entry, level: number): number =>
  isLeaf(e) || isTable(e) ? tdx.geometry.align(pageOf(e), sizeOfTarget(e, level)) : -1;

/** TDVPR pages of a TD. Looks through all of PAMT: for the small platforms that rules run on. */
export function* vcpusOf(tdx: TdxModule, tdr: number): Generator<number> {
  for (let page = 0; page < tdx.memory.pages; page++) {
    const meta = tdx.m.peek(tdx.pamt.meta(page, 0));
    if (Pamt.typeOf(meta) === TDVPR && Pamt.ownerOf(meta) === tdr) yield page;
  }
}

/** The TDs that have a Secure EPT, by page number of their TDR. Looks through all of PAMT. */
export function* tdsOf(tdx: TdxModule): Generator<number> {
  for (let page = 0; page < tdx.memory.pages; page++) {
    if (tdx.pamt.type(page, 0) !== TDR || field(tdx, page, TD.LIFECYCLE) !== KEYS_CONFIGURED) continue;
    if (field(tdx, page, TD.NUM_TDCX) >= MIN_TDCX && field(tdx, page, TD.OP_STATE) !== UNINITIALIZED) yield page;
  }
}

/** 4 KiB pages that PAMT assigns to a TD, its TDR not counted. */
export function ownedPages(tdx: TdxModule, tdr: number): number {
  let owned = 0;
  for (const size of SIZES.keys()) {
    const span = tdx.geometry.span(size);
    for (let page = 0; page < tdx.memory.pages; page += span) {
      const meta = tdx.m.peek(tdx.pamt.meta(page, size));
      if (Pamt.typeOf(meta) !== NDA && Pamt.ownerOf(meta) === tdr) owned += span;
    }
  }
  return owned;
}

/**
 * Where the whole tree of a TD and PAMT disagree, or null: a page with another type or owner than its entry asks for, a
 * page that two entries map, a page that PAMT gives to the tree and no entry points to.
 */
export function treeDisagreement(tdx: TdxModule, tdr: number): string | null {
  const pointedTo = new Set<number>();
  const below = (table: number, level: number): string | null => {
    for (let i = 0; i < tdx.geometry.fanout; i++) {
      const e = tdx.m.peek(tdx.memory.word(table, i));
      const first = targetOf(tdx, e, level);
      if (first < 0) continue;
      for (let page = first; page < first + tdx.geometry.span(sizeOfTarget(e, level)); page++) {
        if (pointedTo.has(page)) return `two entries point to page ${page}`;
        pointedTo.add(page);
      }
      const seen = disagreement(tdx, e, level, tdr) ?? (isTable(e) ? below(first, level - 1) : null);
      if (seen !== null) return seen;
    }
    return null;
  };
  return below(field(tdx, tdr, TD.SEPT_ROOT), field(tdx, tdr, TD.ROOT_LEVEL)) ?? unreached(tdx, tdr, pointedTo);
}

/** A page that PAMT says is in the tree of a TD and that is not `pointedTo`, or null. */
function unreached(tdx: TdxModule, tdr: number, pointedTo: ReadonlySet<number>): string | null {
  for (const size of SIZES.keys()) {
    for (let page = 0; page < tdx.memory.pages; page += tdx.geometry.span(size)) {
      const type = tdx.pamt.type(page, size);
      if ((type !== REG && type !== EPT) || tdx.pamt.owner(page, size) !== tdr || pointedTo.has(page)) continue;
      return `no entry points to page ${page}, ${pageTypeName(type)}`;
    }
  }
  return null;
}
