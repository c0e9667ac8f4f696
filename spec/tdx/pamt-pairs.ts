/**
 * Dynamic PAMT: the entries of 4K pages exist only for ranges of 2M to which the host has added a
 * pair of pages that hold them. The 2M entry of such a range is a node with the type PAMT: it
 * counts the 4K pages of the range that are in use. A bitmap has the pages that are such pages.
 *
 * From the series and from the source of a later module, not measured. Source: Dynamic PAMT series
 * v2, cover (Jun 2025); intel/tdx-module 1.5.25 (as kept in murrowow/tdx-concurrency, commit
 * c71d4f6), src/common/memory_handlers/pamt_manager.h: pamt_non_leaf_entry_t, pamt_manager.c:
 * dynamic_pamt_4k_bitmap_set(), pamt_inc_nl_page_count().
 */
import type { Geometry } from '../machine/geometry.ts';
import type { Cell, Machine } from '../machine/machine.ts';

/** Pages of a pair. */
export const PAIR = [0, 1] as const;

const COUNT = 2;
const CELLS_PER_RANGE = 3;
const FIELDS = ['.page0', '.page1', '.count'] as const;

/** The pairs of pages, by the 2M range whose entries they hold. */
export class PamtPairs {
  private readonly m: Machine;
  private readonly span: number;
  private readonly ranges: Cell;
  private readonly bitmap: Cell;

  constructor(m: Machine, geometry: Geometry, pages: number) {
    this.m = m;
    this.span = geometry.span(1);
    this.ranges = m.segment('PAMT_pairs', Math.ceil(pages / this.span) * CELLS_PER_RANGE, (i) => {
      const page = Math.floor(i / CELLS_PER_RANGE) * this.span;
      return `PAMT_2M[page ${page}]${FIELDS[i % CELLS_PER_RANGE]}`;
    });
    this.bitmap = m.segment('PAMT_PAGE_BITMAP', pages, (page) => `PAMT_PAGE_BITMAP[page ${page}]`);
  }

  private range(page: number): Cell {
    return this.ranges + Math.floor(page / this.span) * CELLS_PER_RANGE;
  }

  /** Page number of one page of the pair that holds the entries of the range of `page`. */
  pageOf(page: number, which: 0 | 1): number {
    return this.m.peek(this.range(page) + which);
  }

  /** Names the pair of a range, within the current step. */
  set(page: number, pair: readonly [number, number]): void {
    for (const which of PAIR) this.m.poke(this.range(page) + which, pair[which]);
  }

  /** The cell that counts the 4K pages of the range that are in use. */
  count(page: number): Cell {
    return this.range(page) + COUNT;
  }

  /** The cell that says whether `page` holds entries of some range. */
  bit(page: number): Cell {
    return this.bitmap + page;
  }

  isPamtPage(page: number): boolean {
    return this.m.peek(this.bit(page)) !== 0;
  }

  /** The page of the pair that holds the entry of `page`. */
  half(page: number): 0 | 1 {
    return page % this.span < this.span / 2 ? 0 : 1;
  }
}
