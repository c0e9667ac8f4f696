/**
 * Dynamic PAMT: the module keeps metadata of 4 KiB pages only for ranges (of a large page's size)
 * in which some are in use. KVM has to give it a pair of pages for each such range first, and gets
 * the pair back when the last 4 KiB page of the range has left the TD.
 *
 * Each range has a count of its pages that the module may own. A page of a range that is counted
 * already is counted without a lock. The first one of a range is counted under `pamt_lock`, after
 * PAMT.ADD; the last one leaves under the lock, which its decrement takes, before PAMT.REMOVE. So
 * no ADD meets a pair that is there, no REMOVE a range without one, and neither is busy: a refusal
 * is a bug (versions 3 to 5 of the series decremented first, and took HPA_RANGE_NOT_FREE for an ADD
 * that had overtaken a REMOVE).
 *
 * The pairs come from caches, which are filled before mmu_lock is taken, where sleeping is allowed:
 * one for each vCPU, which only its own thread uses, and one for the VM, under its own lock, for
 * operations that no vCPU performs. Where the module has all of its PAMT from the start there are
 * no calls, and pairs are counted, not named. Source: dynamic PAMT series v6, patches 5, 6 and 9
 * (May 2026); v4, patch 8 (Nov 2025); K68.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import type { Pages } from '../machine/pages.ts';
import { SpinLock } from '../machine/spinlock.ts';
import { RMW, type Steps, access } from '../machine/step.ts';
import {
  NO_CACHE,
  PamtCaches,
  type PamtCache,
  type PamtListener,
  type PamtPair,
} from './pamt-caches.ts';

/** The calls of a module whose feature is on. */
export interface PamtCalls {
  /** PAMT.ADD of a pair for the range of `page`; false if the module refuses. */
  add(page: number, pair: PamtPair): Steps<boolean>;
  /** PAMT.REMOVE for the range of `page`: the pair that comes back, or null if it is refused. */
  remove(page: number): Steps<PamtPair | null>;
}

/** Sizes of {@link DynamicPamt}, and the module that it calls. */
interface DynamicPamtOptions {
  /** Number of pages of memory. */
  readonly pages: number;
  /** Number of pages of a range. */
  readonly span: number;
  readonly vcpus: number;
  /**
   * Levels of the Secure EPT, and so pairs in a full cache: a fault adds a leaf, and a table on
   * each level but the root's; a split adds a table and a range.
   */
  readonly levels: number;
  /** The calls, and the allocator of the pages; null where the module needs no pairs. */
  readonly module: { readonly calls: PamtCalls; readonly allocator: Pages } | null;
}

/** PAMT pages of a VM: caches, and ranges in use. */
export class DynamicPamt {
  readonly listeners: PamtListener[] = [];
  /** Guards the VM's cache. */
  readonly lock: SpinLock;
  /** The calls of the module; null where it needs no pairs. */
  readonly calls: PamtCalls | null;
  /** pamt_lock: PAMT.ADD and REMOVE, and the counts that become 1 or 0. */
  readonly addLock: SpinLock;
  private readonly m: Machine;
  private readonly span: number;
  private readonly caches: PamtCaches;
  /** Per range: number of its 4 KiB pages that the module may own. */
  private readonly uses: Cell;

  constructor(m: Machine, { pages, span, vcpus, levels, module }: DynamicPamtOptions) {
    this.m = m;
    this.span = span;
    this.calls = module?.calls ?? null;
    this.lock = new SpinLock(m, 'pamt_cache_lock');
    this.caches = new PamtCaches(m, {
      vcpus,
      capacity: levels,
      allocator: module?.allocator ?? null,
      listeners: this.listeners,
    });
    this.uses = m.segment(
      'pamt_refcount',
      Math.ceil(pages / span),
      (i) => `pamt_refcount[page ${i * span}]`,
    );
    this.addLock = new SpinLock(m, 'pamt_lock');
  }

  private range(page: number): Cell {
    return this.uses + Math.floor(page / this.span);
  }

  /** Number of 4 KiB pages in the range of `page` that the module may own. */
  usesOf(page: number): number {
    return this.m.peek(this.range(page));
  }

  /** Fills a cache; false when no memory is left. Called where sleeping is allowed. */
  topUp(cache: PamtCache): Steps<boolean> {
    return this.caches.topUp(cache);
  }

  /** Number of pairs in a cache, in one step. */
  available(cache: PamtCache): Steps<number> {
    return this.caches.available(cache);
  }

  /** Takes a pair from a cache; null when that is empty. */
  takePair(cache: PamtCache): Steps<PamtPair | null> {
    return this.caches.take(cache);
  }

  /** Frees a pair that was taken and that the module does not have. */
  freePair(pair: PamtPair): Steps<void> {
    return this.caches.free(pair);
  }

  /** Frees the pairs that are left in the caches, where they are named. */
  *drain(): Steps<void> {
    if (this.calls !== null) yield* this.caches.drain();
  }

  /**
   * Makes sure that `page` can be given to the module as a 4 KiB page; false when its range needed
   * a pair, and the cache was empty or the module refused it. (Two actors that find a range unused
   * both take a pair; the second one is freed.)
   */
  *get(page: number, cache: PamtCache): Steps<boolean> {
    if (this.calls !== null) return yield* this.getInstalled(page, cache, this.calls);
    if (!(yield* this.isUsed(page)) && (yield* this.takePair(cache)) === null) return false;
    yield* this.count(page);
    return true;
  }

  /**
   * {@link get} for a control page, whose pair is allocated, not taken from a cache. Nothing where
   * the module needs no pairs.
   */
  *getControl(page: number): Steps<void> {
    if (this.calls !== null) yield* this.getInstalled(page, NO_CACHE, this.calls);
  }

  /** {@link put} for a control page. */
  *putControl(page: number): Steps<void> {
    if (this.calls !== null) yield* this.put(page);
  }

  private *getInstalled(page: number, cache: PamtCache, calls: PamtCalls): Steps<boolean> {
    if (yield* this.countUnlessFirst(page)) return true;
    const pair = yield* this.takePair(cache);
    if (pair === null) return false;
    yield* this.addLock.lock();
    // another actor may have added a pair since
    const isSecond = yield* this.countUnlessFirst(page);
    const isAdded = !isSecond && (yield* calls.add(page, pair));
    if (isAdded) yield* this.count(page);
    yield* this.addLock.unlock();
    if (!isAdded) yield* this.freePair(pair);
    return isSecond || isAdded;
  }

  /** Records that the module has given `page` back; the last one of a range removes the pair. */
  *put(page: number): Steps<void> {
    if (this.calls === null) {
      yield* this.uncount(page);
      return;
    }
    if (yield* this.uncountUnlessLast(page)) return;
    yield* this.addLock.lock();
    let pair: PamtPair | null = null;
    if ((yield* this.uncount(page)) === 0) {
      pair = yield* this.calls.remove(page);
      if (pair === null) yield* this.m.write(this.range(page), 1); // the pair is leaked
    }
    yield* this.addLock.unlock();
    if (pair !== null) yield* this.freePair(pair);
  }

  /** The module may own a 4 KiB page in the range of `page`; one step. */
  *isUsed(page: number): Steps<boolean> {
    return (yield* this.m.read(this.range(page))) > 0;
  }

  /** Counts `page`, in one step. */
  *count(page: number): Steps<void> {
    yield access(this.range(page), RMW);
    this.countNow(page);
  }

  /** Counts `page` in one step, unless it is the first of its range; true when it did. */
  *countUnlessFirst(page: number): Steps<boolean> {
    yield access(this.range(page), RMW);
    if (this.usesOf(page) === 0) return false;
    this.countNow(page);
    return true;
  }

  private countNow(page: number): void {
    this.m.poke(this.range(page), this.usesOf(page) + 1);
    for (const listener of this.listeners) listener.got?.(page);
  }

  /** Ends the count of `page`, in one step; returns the number that is left in its range. */
  *uncount(page: number): Steps<number> {
    yield access(this.range(page), RMW);
    this.uncountNow(page);
    return this.usesOf(page);
  }

  private *uncountUnlessLast(page: number): Steps<boolean> {
    yield access(this.range(page), RMW);
    if (this.usesOf(page) === 1) return false;
    this.uncountNow(page);
    return true;
  }

  private uncountNow(page: number): void {
    this.m.poke(this.range(page), this.usesOf(page) - 1);
    for (const listener of this.listeners) listener.put?.(page);
  }

  /** Counts every page of the range from `first` on in one step: DEMOTE has taken its pair. */
  *countRange(first: number): Steps<void> {
    yield access(this.range(first), RMW);
    for (let i = 0; i < this.span; i++) this.countNow(first + i);
  }

  /** Ends the count of every page of a range in one step: PROMOTE has returned its pair. */
  *uncountRange(first: number): Steps<void> {
    yield access(this.range(first), RMW);
    for (let i = 0; i < this.span; i++) this.uncountNow(first + i);
  }
}
