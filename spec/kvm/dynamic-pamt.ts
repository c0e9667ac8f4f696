/**
 * Dynamic PAMT: the module keeps metadata for 4 KiB pages only where some are in use, in pages that
 * KVM has to give it before, one for each range of a large page, and gets back when the last 4 KiB
 * page of the range has left the TD.
 *
 * The pages come from caches that are filled where one may sleep, before mmu_lock is taken: one for
 * each vCPU, which only its own thread uses, and one for the VM, under a lock of its own, for what
 * no vCPU does. Pages are counted, not named. Source: dynamic PAMT series v6, patch 9/11 (May
 * 2026); K68.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { SpinLock } from '../machine/spinlock.ts';
import { RMW, type Steps, access } from '../machine/step.ts';

/** A cache: that of a vCPU by its index, or the VM's. */
export type PamtCache = number;
export const VM_CACHE: PamtCache = -1;

/** What rules may learn of it. */
export interface PamtListener {
  /** A page was wanted from `cache`; `found` is false when it was empty. */
  taken?(cache: PamtCache, found: boolean): void;
  /** `page` may be given to the module from now on, or no more. */
  got?(page: number): void;
  put?(page: number): void;
}

/**
 * Entries that a cache is filled up to: a fault adds two tables and a leaf at most, a split a table
 * and a range.
 */
export const FULL_CACHE = 3;

/** PAMT pages of a VM: caches, and pages in use. */
export class DynamicPamt {
  readonly listeners: PamtListener[] = [];
  /** Guards the VM's cache. */
  readonly lock: SpinLock;
  private readonly m: Machine;
  private readonly span: number;
  /** The VM's cache, then those of the vCPUs. */
  private readonly caches: Cell;
  /** Per range: how many 4 KiB pages of it may be with the module. */
  private readonly uses: Cell;

  constructor(m: Machine, pages: number, span: number, vcpus: number) {
    this.m = m;
    this.span = span;
    this.lock = new SpinLock(m, 'pamt_cache_lock');
    this.caches = m.segment('pamt_cache', vcpus + 1, (i) =>
      i === 0 ? 'pamt_cache' : `pamt_cache[vcpu${i - 1}]`,
    );
    this.uses = m.segment(
      'pamt_refcount',
      Math.ceil(pages / span),
      (i) => `pamt_refcount[page ${i * span}]`,
    );
  }

  private cache(cache: PamtCache): Cell {
    return this.caches + 1 + cache;
  }

  private range(page: number): Cell {
    return this.uses + Math.floor(page / this.span);
  }

  /** How many 4 KiB pages of the range of `page` may be with the module. */
  usesOf(page: number): number {
    return this.m.peek(this.range(page));
  }

  /** Fills a cache up, in one step; false when there is no memory. Where one may sleep. */
  *topUp(cache: PamtCache): Steps<boolean> {
    yield access(this.cache(cache), RMW);
    if (this.m.choose(2) === 1) return false;
    this.m.poke(this.cache(cache), Math.max(FULL_CACHE, this.m.peek(this.cache(cache))));
    return true;
  }

  /** What is in a cache, in one step. */
  *available(cache: PamtCache): Steps<number> {
    return yield* this.m.read(this.cache(cache));
  }

  /**
   * Makes sure that `page` can be given to the module as a 4 KiB page; false when that took a page
   * and none was there. (Of two that find a range unused, both take a page; the kernel frees the
   * second.)
   */
  *get(page: number, cache: PamtCache): Steps<boolean> {
    const used = (yield* this.m.read(this.range(page))) > 0;
    if (!used && !(yield* this.take(cache))) return false;
    yield access(this.range(page), RMW);
    this.m.poke(this.range(page), this.usesOf(page) + 1);
    for (const listener of this.listeners) listener.got?.(page);
    return true;
  }

  private *take(cache: PamtCache): Steps<boolean> {
    yield access(this.cache(cache), RMW);
    const left = this.m.peek(this.cache(cache));
    if (left > 0) this.m.poke(this.cache(cache), left - 1);
    for (const listener of this.listeners) listener.taken?.(cache, left > 0);
    return left > 0;
  }

  /** The module has given `page` back. */
  *put(page: number): Steps<void> {
    yield access(this.range(page), RMW);
    this.m.poke(this.range(page), this.usesOf(page) - 1);
    for (const listener of this.listeners) listener.put?.(page);
  }
}
