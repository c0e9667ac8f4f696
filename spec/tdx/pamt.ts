/**
 * The physical address metadata table: type, owner and BEPOCH (the epoch at which it was blocked)
 * of each 4K, 2M and 1G page of the TDMR, each entry under a lock of its own.
 *
 * Page numbers count 4K pages from the TDMR's base.
 *
 * Source: intel/tdx-module 1.5.01, src/common/memory_handlers/pamt_manager.h: pamt_entry_t,
 * page_type_t; docs/module-notes.md#new-pages.
 */
import type { Geometry } from '../machine/geometry.ts';
import type { Cell, Machine } from '../machine/machine.ts';
import { PamtPairs } from './pamt-pairs.ts';

/** Page types, by the numbers that RDMD and RECLAIM report. */
export const NDA = 0;
export const RSVD = 1;
export const REG = 3;
export const TDR = 4;
export const TDCX = 5;
export const TDVPR = 6;
/** Pages of a vCPU beside the TDVPR, in module 1.0; in 1.5 they are TDCX. */
export const TDVPX = 7;
export const EPT = 8;
/** A 2M range with a pair of pages for the entries of its 4K pages; or such a page. */
export const PAMT = 15;
/** Type of a page in the PAMT: NDA to PAMT. */
export type PageType = number;

const TYPE_NAMES = new Map([
  [NDA, 'NDA'],
  [RSVD, 'RSVD'],
  [REG, 'REG'],
  [TDR, 'TDR'],
  [TDCX, 'TDCX'],
  [TDVPR, 'TDVPR'],
  [TDVPX, 'TDVPX'],
  [EPT, 'EPT'],
  [PAMT, 'PAMT'],
]);
/** Name of a page type. */
export const pageTypeName = (type: PageType): string => TYPE_NAMES.get(type) ?? `type ${type}`;

/** The owner of a page that no TD owns, such as a TDR. */
export const NO_OWNER = -1;

/** Names of the page sizes 0 to 2, which S-EPT levels and RDMD count alike. */
export const SIZES = ['4K', '2M', '1G'] as const;

const META = 0;
const BEPOCH = 1;
const LOCK = 2;
const CELLS_PER_ENTRY = 3;
/** Their names in reports. */
const FIELDS = ['', '.bepoch', '.lock'] as const;

/** The PAMT: type, owner and lock of each page. */
export class Pamt {
  private readonly m: Machine;
  private readonly geometry: Geometry;
  private readonly bases: readonly Cell[];
  readonly pages: number;
  /** Where the host adds the pages that hold the entries of 4K pages; null: all are there. */
  readonly pairs: PamtPairs | null;

  constructor(m: Machine, geometry: Geometry, pages: number, isDynamic = false) {
    this.m = m;
    this.geometry = geometry;
    this.pages = pages;
    this.pairs = isDynamic ? new PamtPairs(m, geometry, pages) : null;
    this.bases = SIZES.map((size, level) => {
      const entries = Math.ceil(pages / geometry.span(level));
      return m.segment(`PAMT_${size}`, entries * CELLS_PER_ENTRY, (offset) => {
        const page = Math.floor(offset / CELLS_PER_ENTRY) * geometry.span(level);
        return `PAMT_${size}[page ${page}]${FIELDS[offset % CELLS_PER_ENTRY]}`;
      });
    });
  }

  /** The entry that a cell belongs to, or null when it is no cell of this table. */
  entryOf(cell: Cell): { readonly page: number; readonly size: number } | null {
    for (let size = SIZES.length - 1; size >= 0; size--) {
      const base = this.bases[size] as Cell; // one base a size
      const index = Math.floor((cell - base) / CELLS_PER_ENTRY);
      if (index >= 0) {
        const page = index * this.geometry.span(size);
        return page < this.pages ? { page, size } : null;
      }
    }
    return null;
  }

  /** Visits every entry that may differ from the sealed state, in order of size and page. */
  forEachTouched(visit: (page: number, size: number) => void): void {
    let past = 0;
    this.m.forEachTouched((cell) => {
      if (cell < past) return;
      const at = this.entryOf(cell);
      if (at === null) return;
      past = this.entry(at.page, at.size) + CELLS_PER_ENTRY;
      visit(at.page, at.size);
    });
  }

  private entry(page: number, size: number): Cell {
    const base = this.bases[size] as Cell; // sizes 0..2
    return base + Math.floor(page / this.geometry.span(size)) * CELLS_PER_ENTRY;
  }

  /** The cell that holds type and owner. */
  meta(page: number, size: number): Cell {
    return this.entry(page, size) + META;
  }

  /** The cell of BEPOCH. */
  bepoch(page: number, size: number): Cell {
    return this.entry(page, size) + BEPOCH;
  }

  /** The cell of the entry's lock. */
  lock(page: number, size: number): Cell {
    return this.entry(page, size) + LOCK;
  }

  /** Type and owner as one word. `owner` is the page number of the owner's TDR. */
  static pack(type: PageType, owner: number): number {
    return type | ((owner + 1) << 4);
  }

  static typeOf(meta: number): PageType {
    return meta & 15;
  }

  /** Page number of the owning TDR, or {@link NO_OWNER}. */
  static ownerOf(meta: number): number {
    return (meta >>> 4) - 1;
  }

  type(page: number, size: number): PageType {
    return Pamt.typeOf(this.m.peek(this.meta(page, size)));
  }

  owner(page: number, size: number): number {
    return Pamt.ownerOf(this.m.peek(this.meta(page, size)));
  }

  /** The entry has entries of smaller pages below it. */
  isNode(page: number, size: number): boolean {
    return this.type(page, size) === (this.pairs !== null && size === 1 ? PAMT : NDA);
  }

  /**
   * Visits every entry of `size` that assigns a page, in order of its page. It reads all entries:
   * for rules, which run on small platforms.
   */
  forEachAssigned(
    size: number,
    visit: (page: number, type: PageType, owner: number) => void,
  ): void {
    const span = this.geometry.span(size);
    let cell = this.meta(0, size);
    for (let page = 0; page < this.pages; page += span) {
      const meta = this.m.peek(cell);
      if (isAssigned(Pamt.typeOf(meta))) visit(page, Pamt.typeOf(meta), Pamt.ownerOf(meta));
      cell += CELLS_PER_ENTRY;
    }
  }

  /** The size at which `page` is assigned: that of the largest entry that assigns it, else 4K. */
  sizeOf(page: number): number {
    if (isAssigned(this.type(page, 2))) return 2;
    if (isAssigned(this.type(page, 1))) return 1;
    return 0;
  }

  /** What the module uses the page for, whatever its size; NDA if it is the host's. */
  useOf(page: number): PageType {
    if (this.pairs?.isPamtPage(page) === true) return PAMT;
    return this.type(page, this.sizeOf(page));
  }
}

/** An entry of that type assigns its page: it is neither free nor a node. */
const isAssigned = (type: PageType): boolean => type !== NDA && type !== PAMT;
