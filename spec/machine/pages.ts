/**
 * The kernel's page allocator. Each of its pages has a kind, an owner and a generation; a
 * {@link PageRef} carries the generation at which it was given out, so that touching, or freeing, a
 * page through a reference that is no longer good is seen at the very step that does it.
 */
import { DOUBLE_FREE, fault, LEAK, USE_AFTER_FREE } from './faults.ts';
import type { Cell, Machine } from './machine.ts';
import type { Memory } from './memory.ts';
import { RMW, WRITE, type Steps, access } from './step.ts';

/**
 * A page with its generation, in 22 bits: the page number below, the generation above. Fits, with
 * ten bits to spare, into an entry of a table. A generation returns after 512 allocations of the
 * same page; no run is that long.
 */
export type PageRef = number;

/** No page: the allocation failed. */
export const NO_PAGE: PageRef = -1;

const PAGE_BITS = 12;
const PAGE_MASK = (1 << PAGE_BITS) - 1;
const GENERATION_MASK = (1 << 10) - 1;

/** The page number of a reference. */
export const pageNumberOf = (ref: PageRef): number => ref & PAGE_MASK;
/**
 * The generation of a reference: odd for an allocation, even for what was free when the reference
 * was made.
 */
export const generationOf = (ref: PageRef): number => ref >>> PAGE_BITS;

export interface PagesOptions {
  /** What pages can be, for reports; a kind is an index into this list. */
  readonly kinds: readonly string[];
  /**
   * Give out the page that was freed last, instead of the lowest: so that reuse too early meets its
   * victim.
   */
  readonly reuseLast?: boolean;
}

/** Cells per page. */
const GENERATION = 0;
const KIND = 1;
const OWNER = 2;
/** When it came back to the allocator, counted in frees; 0 is never, -1 while it is on its way. */
const RETURNED = 3;
const CELLS_PER_PAGE = 4;
const FIELDS = ['generation', 'kind', 'owner', 'returned'] as const;

export class Pages {
  /** How many pages are allocated. Every allocation announces this cell. */
  readonly cell: Cell;
  /** Whether an allocation fails is a choice; else it fails only when no page is left. */
  mayFail = false;
  /** Told of each allocation that failed. */
  readonly onFailure: (() => void)[] = [];
  /** Told of each page that is freed. */
  readonly onFree: ((ref: PageRef) => void)[] = [];
  private readonly m: Machine;
  private readonly memory: Memory;
  private readonly first: number;
  private readonly end: number;
  private readonly options: PagesOptions;
  private readonly frees: Cell;
  private readonly meta: Cell;

  /** Manages the pages `first` to `first + count - 1` of `memory`, all free. Page numbers stay below 4096. */
  constructor(memory: Memory, first: number, count: number, options: PagesOptions) {
    const { m } = memory;
    if (first + count > PAGE_MASK + 1)
      throw new Error(`page numbers above ${PAGE_MASK} do not fit a PageRef`);
    this.m = m;
    this.memory = memory;
    this.first = first;
    this.end = first + count;
    this.options = options;
    this.cell = m.record('page allocator', 'frees');
    this.frees = this.cell + 1;
    this.meta = m.segment(
      'pages',
      count * CELLS_PER_PAGE,
      (i) => `page ${first + Math.floor(i / CELLS_PER_PAGE)}.${FIELDS[i % CELLS_PER_PAGE]}`,
    );
    for (let page = first; page < this.end; page++) {
      m.guard(memory.word(page, 0), memory.wordsPerPage, this.field(page, GENERATION));
    }
  }

  private field(page: number, field: number): Cell {
    return this.meta + (page - this.first) * CELLS_PER_PAGE + field;
  }

  /** The page as it is now: what somebody who knows only its number can touch. */
  refTo(page: number): PageRef {
    return (this.m.peek(this.field(page, GENERATION)) << PAGE_BITS) | page;
  }

  private isAllocated(page: number): boolean {
    return (this.m.peek(this.field(page, GENERATION)) & 1) === 1;
  }

  /** The page is still allocated to whoever got the reference. */
  isLive(ref: PageRef): boolean {
    const page = pageNumberOf(ref);
    return (
      this.isAllocated(page) && this.m.peek(this.field(page, GENERATION)) === generationOf(ref)
    );
  }

  kindOf(page: number): number {
    return this.m.peek(this.field(page, KIND));
  }

  ownerOf(page: number): number {
    return this.m.peek(this.field(page, OWNER));
  }

  /** Hands a page over, within the current step. */
  setOwner(page: number, owner: number): void {
    this.m.poke(this.field(page, OWNER), owner);
  }

  /** Allocates a zeroed page in one step, or NO_PAGE. */
  *alloc(kind: number, owner = 0): Steps<PageRef> {
    yield access(this.cell, RMW);
    const page = this.mayFail && this.m.choose(2) === 1 ? NO_PAGE : this.allocNow(kind, owner);
    if (page === NO_PAGE) for (const listener of this.onFailure) listener();
    return page;
  }

  /**
   * Allocates a zeroed page within the current step, or while a run is set up. It fails only when
   * no page is left.
   */
  allocNow(kind: number, owner = 0): PageRef {
    const page = this.pick();
    if (page < 0) return NO_PAGE;
    this.turn(page);
    this.m.poke(this.field(page, KIND), kind);
    this.m.poke(this.field(page, OWNER), owner);
    this.m.poke(this.cell, this.m.peek(this.cell) + 1);
    this.memory.zero(page);
    return this.refTo(page);
  }

  private pick(): number {
    let best = -1;
    for (let page = this.first; page < this.end; page++) {
      if (this.isAllocated(page) || this.returned(page) < 0) continue;
      if (this.options.reuseLast !== true) return page;
      if (best < 0 || this.returned(page) > this.returned(best)) best = page;
    }
    return best;
  }

  private returned(page: number): number {
    return this.m.peek(this.field(page, RETURNED));
  }

  /** The next generation begins: an allocated page becomes free, a free one allocated. */
  private turn(page: number): void {
    const cell = this.field(page, GENERATION);
    this.m.poke(cell, (this.m.peek(cell) + 1) & GENERATION_MASK);
  }

  /**
   * Frees a page: one step from which on references to it are stale, and one that makes it
   * allocatable.
   */
  *free(ref: PageRef): Steps<void> {
    const page = pageNumberOf(ref);
    yield access(this.field(page, GENERATION), WRITE);
    if (!this.isLive(ref)) {
      fault(
        this.m,
        DOUBLE_FREE,
        `page ${page} is freed while it is the ${this.describe(ref)}`,
        this.present(page),
      );
      return;
    }
    for (const listener of this.onFree) listener(ref);
    this.turn(page);
    this.m.poke(this.field(page, RETURNED), -1);
    yield access(this.cell, RMW);
    this.m.poke(this.frees, this.m.peek(this.frees) + 1);
    this.m.poke(this.field(page, RETURNED), this.m.peek(this.frees));
    this.m.poke(this.cell, this.m.peek(this.cell) - 1);
  }

  /** The cell of a word, to be announced. Whoever then touches it calls {@link touch} in that step. */
  word(ref: PageRef, index: number): Cell {
    return this.memory.word(pageNumberOf(ref), index);
  }

  /** Reports the use of a page through a reference that is no longer good. */
  touch(ref: PageRef): void {
    if (this.isLive(ref)) return;
    const page = pageNumberOf(ref);
    fault(
      this.m,
      USE_AFTER_FREE,
      `page ${page} is touched while it is the ${this.describe(ref)}`,
      this.present(page),
    );
  }

  private describe(ref: PageRef): string {
    const generation = generationOf(ref);
    if ((generation & 1) === 0) return 'free page that the reference was made of';
    return `allocation of generation ${generation}`;
  }

  private present(page: number): string {
    const generation = this.m.peek(this.field(page, GENERATION));
    if (!this.isAllocated(page)) return `free, generation ${generation}`;
    return `${this.options.kinds[this.kindOf(page)]} page, generation ${generation}`;
  }

  /** Reads a word of a page in one step. */
  *readAt(ref: PageRef, index: number): Steps<number> {
    const value = yield* this.m.read(this.word(ref, index));
    this.touch(ref);
    return value;
  }

  /** Writes a word of a page in one step. */
  *writeAt(ref: PageRef, index: number, value: number): Steps<void> {
    yield* this.m.write(this.word(ref, index), value);
    this.touch(ref);
  }

  /** Compare-and-exchange of a word of a page in one step. */
  *cmpxchgAt(ref: PageRef, index: number, expected: number, value: number): Steps<boolean> {
    const done = yield* this.m.cmpxchg(this.word(ref, index), expected, value);
    this.touch(ref);
    return done;
  }

  /** Exchange of a word of a page in one step; the value before. */
  *xchgAt(ref: PageRef, index: number, value: number): Steps<number> {
    const before = yield* this.m.xchg(this.word(ref, index), value);
    this.touch(ref);
    return before;
  }

  /** The pages that are allocated. */
  leaks(): number[] {
    const pages: number[] = [];
    for (let page = this.first; page < this.end; page++)
      if (this.isAllocated(page)) pages.push(page);
    return pages;
  }

  /** Reports the pages that are still allocated, once a program has torn everything down. */
  reportLeaks(): void {
    const leaked = this.leaks().map((page) => `page ${page} (${this.present(page)})`);
    if (leaked.length > 0) fault(this.m, LEAK, 'every page has been freed', leaked.join(', '));
  }
}
