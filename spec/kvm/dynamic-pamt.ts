/**
 * Dynamic PAMT: the module keeps metadata of 4 KiB pages only for ranges (of a large page's size)
 * in which some are in use. KVM has to give it a page for each such range first, and gets the page
 * back when the last 4 KiB page of the range has left the TD.
 *
 * The pages come from caches, which are filled before mmu_lock is taken, where sleeping is allowed:
 * one for each vCPU, which only its own thread uses, and one for the VM, under its own lock, for
 * operations that no vCPU performs. Pages are counted, not named. Source: dynamic PAMT series v6,
 * patch 9/11 (May 2026); K68.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { SpinLock } from '../machine/spinlock.ts';
import { RMW, type Steps, access } from '../machine/step.ts';

/** Index of the vCPU whose cache it is, or VM_CACHE. */
export type PamtCache = number;
export const VM_CACHE: PamtCache = -1;

/** Events of the caches and counts. */
export interface PamtListener {
  /** A page was requested from `cache`; `found` is false when the cache was empty. */
  taken?(cache: PamtCache, found: boolean): void;
  /** `page` may be given to the module from now on; it may no longer. */
  got?(page: number): void;
  put?(page: number): void;
}

/** Sizes of {@link DynamicPamt}. */
interface DynamicPamtOptions {
  /** Number of pages of memory. */
  readonly pages: number;
  /** Number of pages of a range. */
  readonly span: number;
  readonly vcpus: number;
  /**
   * Levels of the Secure EPT, and so pages in a full cache: a fault adds a leaf, and a table on
   * each level but the root's; a split adds a table and a range.
   */
  readonly levels: number;
}

/** PAMT pages of a VM: caches, and pages in use. */
export class DynamicPamt {
  readonly listeners: PamtListener[] = [];
  /** Guards the VM's cache. */
  readonly lock: SpinLock;
  private readonly m: Machine;
  private readonly span: number;
  private readonly fullCache: number;
  /** The VM's cache, then the vCPUs' caches. */
  private readonly caches: Cell;
  /** Per range: number of its 4 KiB pages that the module may own. */
  private readonly uses: Cell;

  constructor(m: Machine, { pages, span, vcpus, levels }: DynamicPamtOptions) {
    this.m = m;
    this.span = span;
    this.fullCache = levels;
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

  /** Number of 4 KiB pages in the range of `page` that the module may own. */
  usesOf(page: number): number {
    return this.m.peek(this.range(page));
  }

  /** Fills a cache, in one step; false when no memory is left. Called where sleeping is allowed. */
  *topUp(cache: PamtCache): Steps<boolean> {
    yield access(this.cache(cache), RMW);
    if (this.m.choose(2) === 1) return false;
    this.m.poke(this.cache(cache), Math.max(this.fullCache, this.m.peek(this.cache(cache))));
    return true;
  }

  /** Number of pages in a cache, in one step. */
  *available(cache: PamtCache): Steps<number> {
    return yield* this.m.read(this.cache(cache));
  }

  /**
   * Makes sure that `page` can be given to the module as a 4 KiB page; false when its range needed
   * a page and the cache was empty. (Two actors that find a range unused both take a page; the
   * kernel frees the second one.)
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

  /** Records that the module has given `page` back, in one step. */
  *put(page: number): Steps<void> {
    yield access(this.range(page), RMW);
    this.m.poke(this.range(page), this.usesOf(page) - 1);
    for (const listener of this.listeners) listener.put?.(page);
  }
}
