/** A small table format for the tests of TLB and walker: four entries a table, three levels. */
import type { Machine } from '../../../spec/machine/machine.ts';
import { Memory } from '../../../spec/machine/memory.ts';
import { Pages, type PageRef } from '../../../spec/machine/pages.ts';
import { Tlb, type Permissions } from '../../../spec/machine/tlb.ts';
import { Walker, type TableFormat } from '../../../spec/machine/walker.ts';

const LEAF = 8;
export const ACCESSED = 16;
export const DIRTY = 32;
const BROKEN = 64;
const TARGET_SHIFT = 8;
const FANOUT = 4;

export const TABLE_PAGE = 0;
const GUEST_PAGE = 1;

export const tableEntry = (target: PageRef, permissions: Permissions = 7): number =>
  (target << TARGET_SHIFT) | permissions;
export const leafEntry = (target: PageRef, permissions: Permissions = 7): number =>
  tableEntry(target, permissions) | LEAF;
export const brokenEntry = (target: PageRef): number => leafEntry(target) | BROKEN;

export const span = (level: number): number => FANOUT ** level;
const index = (gfn: number, level: number): number => Math.floor(gfn / span(level)) % FANOUT;

/** The format over tables from `pages`, with A and D bits if `marks`. */
const format = (pages: Pages, marks: boolean): TableFormat => ({
  rootLevel: 2,
  leafLevel: 0,
  span,
  cell: (table, gfn, level) => pages.word(table, index(gfn, level)),
  touch: (table) => pages.touch(table),
  permissions: (entry) => entry & 7,
  isLeaf: (entry, level) => level === 0 || (entry & LEAF) !== 0,
  isMisconfigured: (entry) => (entry & BROKEN) !== 0,
  target: (entry) => entry >> TARGET_SHIFT,
  marked: (entry, _level, isWrite) => (marks ? entry | ACCESSED | (isWrite ? DIRTY : 0) : entry),
});

/** Pages with a root, a table of each lower level for GFN 0, and a walker with its TLB. */
export function tables(m: Machine, marks = false) {
  const pages = new Pages(new Memory(m, 12, FANOUT), 0, 12, {
    kinds: ['table', 'guest'],
    reuseLast: true,
  });
  const [root, middle, last] = [0, 0, 0].map(() => pages.allocNow(TABLE_PAGE)) as [
    PageRef,
    PageRef,
    PageRef,
  ]; // three
  const page = pages.allocNow(GUEST_PAGE);
  const entries = {
    root: pages.word(root, 0),
    middle: pages.word(middle, 0),
    last: pages.word(last, 0),
  };
  m.poke(entries.root, tableEntry(middle));
  m.poke(entries.middle, tableEntry(last));
  m.poke(entries.last, leafEntry(page));
  const layout = format(pages, marks);
  const tlb = new Tlb(m, 'tlb', layout);
  const walker = new Walker(m, layout, tlb);
  m.seal();
  return { pages, root, middle, last, page, entries, layout, tlb, walker };
}
