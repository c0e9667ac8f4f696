/**
 * The invalidation protocol between whoever takes pages away and a fault that is installing one: a
 * sequence number, a count of invalidations under way, and the GFNs that they are about. Changed
 * under mmu_lock held for write; a fault samples the number before it looks anything up and checks
 * it again under mmu_lock. Source: K37, K38.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { WRITE, type Steps, access } from '../machine/step.ts';

/**
 * Where the number starts: so that it soon needs bit 31, which is where a narrow copy of it goes
 * wrong (B-14).
 */
const FIRST_SEQ = 0x7fff_fffe;

/** Beyond every GFN. */
const ALL = 1 << 20;

/** What a rule may learn of invalidations. GFNs are pages. */
export interface InvalidationListener {
  sampled?(): void;
  began?(gfn: number, pages: number): void;
  extended?(gfn: number, pages: number): void;
  ended?(): void;
}

/** KVM's invalidation sequence number and range. */
export class Invalidation {
  readonly listeners: InvalidationListener[] = [];
  private readonly m: Machine;
  private readonly seq: Cell;
  private readonly inProgress: Cell;
  private readonly first: Cell;
  private readonly past: Cell;

  constructor(m: Machine) {
    this.m = m;
    this.seq = m.segment('mmu_invalidate_seq', 1, () => 'mmu_invalidate_seq');
    this.inProgress = m.record('mmu_invalidate_in_progress', 'first', 'end');
    this.first = this.inProgress + 1;
    this.past = this.inProgress + 2;
    m.poke(this.seq, FIRST_SEQ);
  }

  /** What a fault remembers before it looks up its page: an unsigned number. */
  *sample(): Steps<number> {
    const seq = yield* this.m.read(this.seq);
    for (const listener of this.listeners) listener.sampled?.();
    return seq >>> 0;
  }

  /** The number, within the current step. */
  now(): number {
    return this.m.peek(this.seq) >>> 0;
  }

  /** How many invalidations are under way, within the current step. */
  underWay(): number {
    return this.m.peek(this.inProgress);
  }

  /**
   * An invalidation that is under way is about `gfn`; several are taken together, with what lies
   * between them.
   */
  covers(gfn: number): boolean {
    return this.underWay() > 0 && gfn >= this.m.peek(this.first) && gfn < this.m.peek(this.past);
  }

  /**
   * Without mmu_lock: is `gfn` being invalidated? Good for giving up early and for nothing else
   * (K41).
   */
  *seemsUnderWay(gfn: number): Steps<boolean> {
    yield* this.m.read(this.inProgress);
    return this.covers(gfn);
  }

  /**
   * Under mmu_lock: was anything invalidated since `sampled`, or is `gfn` being invalidated now
   * (any GFN when absent)? Then the fault has to start over.
   */
  *isStale(sampled: number, gfn = -1): Steps<boolean> {
    const now = (yield* this.m.read(this.seq)) >>> 0;
    return now !== sampled || (gfn < 0 ? this.underWay() !== 0 : this.covers(gfn));
  }

  /** Under mmu_lock for write, before anything of `pages` pages from `gfn` on is zapped. */
  *begin(gfn = 0, pages = ALL): Steps<void> {
    const { m } = this;
    const others = (yield* m.add(this.inProgress, 1)) - 1;
    m.poke(this.first, others === 0 ? gfn : Math.min(gfn, m.peek(this.first)));
    m.poke(this.past, others === 0 ? gfn + pages : Math.max(gfn + pages, m.peek(this.past)));
    for (const listener of this.listeners) listener.began?.(gfn, pages);
  }

  /** Under mmu_lock for write: the invalidation that the caller began is about these GFNs as well. */
  *extend(gfn: number, pages: number): Steps<void> {
    yield access(this.first, WRITE);
    this.m.poke(this.first, Math.min(gfn, this.m.peek(this.first)));
    this.m.poke(this.past, Math.max(gfn + pages, this.m.peek(this.past)));
    for (const listener of this.listeners) listener.extended?.(gfn, pages);
  }

  /** Under mmu_lock for write, after the zap: the number first, then the count. */
  *end(): Steps<void> {
    yield* this.m.add(this.seq, 1);
    yield* this.m.add(this.inProgress, -1);
    for (const listener of this.listeners) listener.ended?.();
  }
}
