/**
 * Caches of pairs of PAMT pages: one for each vCPU, and one for the VM. Where no call names a page,
 * a cache is a number. Source: dynamic PAMT series v6, patch 8 (May 2026); v5, patches 20 to 22.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import { RMW, type Steps, access } from '../machine/step.ts';
import { PAMT_PAGE } from './tables.ts';

/** Index of the vCPU whose cache it is, VM_CACHE or NO_CACHE. */
export type PamtCache = number;
export const VM_CACHE: PamtCache = -1;
/** The page allocator, for control pages: their pairs are allocated where sleeping is allowed. */
export const NO_CACHE: PamtCache = -2;

/** The two pages that hold the entries of a range. */
export type PamtPair = readonly [PageRef, PageRef];
/** A pair that no call names. */
const UNNAMED: PamtPair = [NO_PAGE, NO_PAGE];

/** Events of the caches and counts. */
export interface PamtListener {
  /** A pair was requested from `cache`; `found` is false when the cache was empty. */
  taken?(cache: PamtCache, found: boolean): void;
  /** `page` may be given to the module from now on; it may no longer. */
  got?(page: number): void;
  put?(page: number): void;
}

/** Options of {@link PamtCaches}. */
interface PamtCachesOptions {
  readonly vcpus: number;
  /** Number of pairs in a full cache. */
  readonly capacity: number;
  /** Allocator of the pages; null when pairs are counted only. */
  readonly allocator: Pages | null;
  readonly listeners: readonly PamtListener[];
}

const PAGES_PER_PAIR = 2;

/** Name of the cache at a place: the VM's, then the vCPUs'. */
const name = (place: number): string =>
  place === 0 ? 'pamt_cache' : `pamt_cache[vcpu${place - 1}]`;

export class PamtCaches {
  private readonly m: Machine;
  private readonly options: PamtCachesOptions;
  /** Numbers of pairs: in the VM's cache, then in the vCPUs' caches. */
  private readonly counts: Cell;
  /** Pages of the pairs, cache by cache. */
  private readonly slots: Cell;

  constructor(m: Machine, options: PamtCachesOptions) {
    const { vcpus, capacity, allocator } = options;
    this.m = m;
    this.options = options;
    this.counts = m.segment('pamt_cache', vcpus + 1, name);
    const size = allocator === null ? 0 : capacity * PAGES_PER_PAIR;
    this.slots = m.segment(
      'pamt_cache pages',
      (vcpus + 1) * size,
      (i) => `${name(Math.floor(i / size))}.page`,
    );
  }

  private cell(cache: PamtCache): Cell {
    return this.counts + 1 + cache;
  }

  /** First cell of the pair at `index` of a cache. */
  private slot(cache: PamtCache, index: number): Cell {
    return this.slots + ((1 + cache) * this.options.capacity + index) * PAGES_PER_PAIR;
  }

  /** Fills a cache; false when no memory is left. Unnamed pairs are added in one step. */
  *topUp(cache: PamtCache): Steps<boolean> {
    const { allocator, capacity } = this.options;
    if (allocator === null) {
      yield access(this.cell(cache), RMW);
      if (this.m.choose(2) === 1) return false;
      this.m.poke(this.cell(cache), Math.max(capacity, this.m.peek(this.cell(cache))));
      return true;
    }
    while ((yield* this.available(cache)) < capacity) {
      const pair = yield* this.alloc(allocator);
      if (pair === null) return false;
      if (!(yield* this.push(cache, pair))) yield* this.free(pair);
    }
    return true;
  }

  /** Number of pairs in a cache, in one step. */
  *available(cache: PamtCache): Steps<number> {
    return yield* this.m.read(this.cell(cache));
  }

  /** Takes a pair from a cache; null when that is empty, or for NO_CACHE no memory is left. */
  *take(cache: PamtCache): Steps<PamtPair | null> {
    const { allocator, listeners } = this.options;
    if (cache === NO_CACHE) return allocator === null ? UNNAMED : yield* this.alloc(allocator);
    yield access(this.cell(cache), RMW);
    const pair = this.pop(cache);
    for (const listener of listeners) listener.taken?.(cache, pair !== null);
    return pair;
  }

  /** Frees a pair that was taken. */
  *free(pair: PamtPair): Steps<void> {
    const { allocator } = this.options;
    if (allocator !== null) for (const page of pair) yield* allocator.free(page);
  }

  /** Empties every cache; its pairs are freed. */
  *drain(): Steps<void> {
    for (let cache = VM_CACHE; cache < this.options.vcpus; cache++) {
      for (;;) {
        yield access(this.cell(cache), RMW);
        const pair = this.pop(cache);
        if (pair === null) break;
        yield* this.free(pair);
      }
    }
  }

  private *alloc(allocator: Pages): Steps<PamtPair | null> {
    const first = yield* allocator.alloc(PAMT_PAGE);
    if (first === NO_PAGE) return null;
    const second = yield* allocator.alloc(PAMT_PAGE);
    if (second !== NO_PAGE) return [first, second];
    yield* allocator.free(first);
    return null;
  }

  /** Adds a pair to a cache in one step; false when another actor has filled it. */
  private *push(cache: PamtCache, [first, second]: PamtPair): Steps<boolean> {
    yield access(this.cell(cache), RMW);
    const count = this.m.peek(this.cell(cache));
    if (count >= this.options.capacity) return false;
    this.m.poke(this.slot(cache, count), first);
    this.m.poke(this.slot(cache, count) + 1, second);
    this.m.poke(this.cell(cache), count + 1);
    return true;
  }

  /** Takes the last pair out of a cache, within the current step; null when there is none. */
  private pop(cache: PamtCache): PamtPair | null {
    const left = this.m.peek(this.cell(cache)) - 1;
    if (left < 0) return null;
    this.m.poke(this.cell(cache), left);
    if (this.options.allocator === null) return UNNAMED;
    const slot = this.slot(cache, left);
    return [this.m.peek(slot), this.m.peek(slot + 1)];
  }
}
