/**
 * The kernel's page allocator. Each page has a kind, an owner and a generation. A {@link PageRef}
 * carries the generation at which it was made, so that an access through a stale reference, or a
 * free, is reported at the step that makes it.
 */
import { DOUBLE_FREE, fault, LEAK, USE_AFTER_FREE } from './faults.ts';
import type { Cell, Machine } from './machine.ts';
import type { Memory } from './memory.ts';
import { RMW, WRITE, type Steps, access } from './step.ts';

/**
 * A page number (low bits) with a generation (above it), in 22 bits: an entry of a table has ten
 * bits left for flags. A generation recurs after 512 allocations of the same page; no run is that
 * long.
 */
export type PageRef = number;

/** No page: the allocation failed. */
export const NO_PAGE: PageRef = -1;

const PAGE_BITS = 12;
const PAGE_MASK = (1 << PAGE_BITS) - 1;
const GENERATION_MASK = (1 << 10) - 1;

/** Page number of a reference. */
export const pageNumberOf = (ref: PageRef): number => ref & PAGE_MASK;
/** Generation of a reference: odd if the page was allocated when it was made, even if free. */
export const generationOf = (ref: PageRef): number => ref >>> PAGE_BITS;

/** Options of {@link Pages}. */
export interface PagesOptions {
  /** Names of the kinds of pages, for reports; a kind is an index into this list. */
  readonly kinds: readonly string[];
  /**
   * Allocates the page that was freed last instead of the lowest, so that a page that is freed too
   * early is reused while it is still referred to.
   */
  readonly reuseLast?: boolean;
}

/** `generation 1`, `generation 0 (free)`: the generation at which a reference was made. */
function describeGeneration(ref: PageRef): string {
  const generation = generationOf(ref);
  return `generation ${generation}${(generation & 1) === 0 ? ' (free)' : ''}`;
}

/** Cells per page. */
const GENERATION = 0;
const KIND = 1;
const OWNER = 2;
/** Number of the free that returned the page; 0 for none, -1 between the two steps of a free. */
const RETURNED = 3;
const CELLS_PER_PAGE = 4;
const FIELDS = ['generation', 'kind', 'owner', 'returned'] as const;

/** Allocator of pages, with generations that reveal use after free. */
export class Pages {
  /** Number of pages that are allocated. Every allocation announces this cell. */
  readonly cell: Cell;
  /** Makes the failure of an allocation a choice; else one fails only when no page is left. */
  mayFail = false;
  /** Called for each allocation that fails. */
  readonly onFailure: (() => void)[] = [];
  /** Called for each page that is freed, before it is. */
  readonly onFree: ((ref: PageRef) => void)[] = [];
  private readonly m: Machine;
  private readonly memory: Memory;
  private readonly first: number;
  private readonly end: number;
  private readonly options: PagesOptions;
  private readonly frees: Cell;
  private readonly meta: Cell;

  /**
   * Manages `count` pages of `memory` from page `first` on, all free.
   *
   * @throws Error when a page number does not fit into a {@link PageRef}.
   */
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

  /** Reference to a page in its current generation, for code that knows only the page's number. */
  refTo(page: number): PageRef {
    return (this.m.peek(this.field(page, GENERATION)) << PAGE_BITS) | page;
  }

  private isAllocated(page: number): boolean {
    return (this.m.peek(this.field(page, GENERATION)) & 1) === 1;
  }

  /** The reference is to the page's current allocation. */
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

  /** Changes the owner of a page, within the current step. */
  setOwner(page: number, owner: number): void {
    this.m.poke(this.field(page, OWNER), owner);
  }

  /** Allocates a zeroed page in one step; NO_PAGE when that fails. */
  *alloc(kind: number, owner = 0): Steps<PageRef> {
    yield access(this.cell, RMW);
    const page = this.mayFail && this.m.choose(2) === 1 ? NO_PAGE : this.allocNow(kind, owner);
    if (page === NO_PAGE) for (const listener of this.onFailure) listener();
    return page;
  }

  /** {@link alloc} within the current step or during set-up; fails only when no page is left. */
  allocNow(kind: number, owner = 0): PageRef {
    const page = this.pick();
    if (page < 0) return NO_PAGE;
    this.beginGeneration(page);
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

  /** Begins a page's next generation: an allocated page becomes free, a free one allocated. */
  private beginGeneration(page: number): void {
    const cell = this.field(page, GENERATION);
    this.m.poke(cell, (this.m.peek(cell) + 1) & GENERATION_MASK);
  }

  /** Frees a page in two steps: the first makes references stale, the second allows reuse. */
  *free(ref: PageRef): Steps<void> {
    const page = pageNumberOf(ref);
    yield access(this.field(page, GENERATION), WRITE);
    if (!this.isLive(ref)) {
      fault(
        this.m,
        DOUBLE_FREE,
        `page ${page} freed in ${describeGeneration(ref)}`,
        this.describeNow(page),
      );
      return;
    }
    for (const listener of this.onFree) listener(ref);
    this.beginGeneration(page);
    this.m.poke(this.field(page, RETURNED), -1);
    yield access(this.cell, RMW);
    this.m.poke(this.frees, this.m.peek(this.frees) + 1);
    this.m.poke(this.field(page, RETURNED), this.m.peek(this.frees));
    this.m.poke(this.cell, this.m.peek(this.cell) - 1);
  }

  /** Cell of a word, to be announced. The step that accesses it has to call {@link touch}. */
  word(ref: PageRef, index: number): Cell {
    return this.memory.word(pageNumberOf(ref), index);
  }

  /** Reports an access to a page through a stale reference. */
  touch(ref: PageRef): void {
    if (this.isLive(ref)) return;
    const page = pageNumberOf(ref);
    fault(
      this.m,
      USE_AFTER_FREE,
      `page ${page} accessed in ${describeGeneration(ref)}`,
      this.describeNow(page),
    );
  }

  private describeNow(page: number): string {
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

  /** Compares and exchanges a word of a page in one step; true when it held `expected`. */
  *cmpxchgAt(ref: PageRef, index: number, expected: number, value: number): Steps<boolean> {
    const done = yield* this.m.cmpxchg(this.word(ref, index), expected, value);
    this.touch(ref);
    return done;
  }

  /** Exchanges a word of a page in one step; returns the value before. */
  *xchgAt(ref: PageRef, index: number, value: number): Steps<number> {
    const before = yield* this.m.xchg(this.word(ref, index), value);
    this.touch(ref);
    return before;
  }

  /** Numbers of the pages that are allocated. */
  leaks(): number[] {
    const pages: number[] = [];
    for (let page = this.first; page < this.end; page++)
      if (this.isAllocated(page)) pages.push(page);
    return pages;
  }

  /** Reports the pages that are still allocated, once everything has been torn down. */
  reportLeaks(): void {
    const leaked = this.leaks().map((page) => `page ${page} (${this.describeNow(page)})`);
    if (leaked.length > 0) fault(this.m, LEAK, 'every page has been freed', leaked.join(', '));
  }
}
