/**
 * Where the pages of a platform are, as one of its TDs sees them: the TD's own TDR and tables, and
 * the pages that all TDs share, so that a page can move from one TD to another.
 */
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import type { TdxModule } from '../../../spec/tdx/module.ts';

/**
 * Page numbers: the TDR of the first TD with its TDCX pages, two vCPUs with theirs, then tables and
 * the guest's memory.
 */
export const TDR = 0;
const FIRST_TABLE = 20;
/** Number of tables of a level, and number of levels with tables. */
const TABLES = 4;
const TABLE_LEVELS = 4;
/** Number of pages for the tables of a TD. */
export const TABLE_PAGES = TABLES * TABLE_LEVELS;
/** First of the pages that back the guest. */
export const FIRST_GUEST_PAGE = FIRST_TABLE + TABLE_PAGES;

const NO_POOL = -1;

export class Layout {
  readonly tdx: TdxModule;
  /** Page number of the TD's TDR. */
  readonly tdr: number;
  /** First of the pages that back the guest, one for each GFN; as many spare pages follow. */
  readonly firstPage = FIRST_GUEST_PAGE;
  readonly gfns: number;
  private readonly firstTable: number;
  /** First of the pages for PAMT entries, where PAMT is dynamic: a pair for each range of 2M. */
  protected pamtPool = NO_POOL;
  private secondLayout: Layout | null = null;

  constructor(tdx: TdxModule, gfns: number, tdr = TDR, firstTable = FIRST_TABLE) {
    this.tdx = tdx;
    this.gfns = gfns;
    this.tdr = tdr;
    this.firstTable = firstTable;
  }

  /** The layout of the other TD of the platform. @throws Error if there is one TD only */
  get other(): Layout {
    if (this.secondLayout === null) throw new Error('the platform has no second TD');
    return this.secondLayout;
  }

  /** Adds a second TD, whose TDR and tables are at the given pages. */
  addOther(tdr: number, firstTable: number): Layout {
    const other = new Layout(this.tdx, this.gfns, tdr, firstTable);
    other.secondLayout = this;
    other.pamtPool = this.pamtPool;
    this.secondLayout = other;
    return other;
  }

  /** HPA (bytes) of a page number. */
  address(page: number): number {
    return (page + this.tdx.platform.tdmrBase) * PAGE_BYTES;
  }

  /** The operands of a function with a GPA, a level and the TD. */
  mapping(gfn: number, level: number): { readonly rcx: number; readonly rdx: number } {
    return {
      rcx: this.tdx.geometry.align(gfn, level) * PAGE_BYTES + level,
      rdx: this.address(this.tdr),
    };
  }

  /** The page that backs `gfn`, or the first page of the huge page that does. */
  pageOf(gfn: number, level = 0): number {
    return this.firstPage + this.tdx.geometry.align(gfn, level);
  }

  /** A page that backs no GFN at first. */
  sparePage(gfn: number): number {
    return this.firstPage + this.gfns + gfn;
  }

  /** Addresses of the pages that hold the PAMT entries of the range of `page`, or may hold them. */
  pairOf(page: number): readonly [number, number] {
    const first = this.pamtPool + 2 * Math.floor(page / this.tdx.geometry.span(1));
    return [this.address(first), this.address(first + 1)];
  }

  /** One of the pages behind those of the guest. */
  extraPage(i: number): number {
    return this.firstPage + 2 * this.gfns + i;
  }

  /** The page of the table to which an entry of `level` for `gfn` points. */
  tablePage(gfn: number, level: number): number {
    return (
      this.firstTable +
      (level - 1) * TABLES +
      (Math.floor(gfn / this.tdx.geometry.span(level)) % TABLES)
    );
  }
}
