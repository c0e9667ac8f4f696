/**
 * The protocol between actors that unmap pages and faults that install them: a sequence number, a
 * count of invalidations in progress, and their range of GFNs. All are changed under mmu_lock held
 * for write; a fault samples the number before it looks anything up and checks it again under
 * mmu_lock. Source: Linux, include/linux/kvm_host.h: mmu_invalidate_retry_gfn(); K37, K38.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { WRITE, type Steps, access } from '../machine/step.ts';

/** First sequence number: it soon needs bit 31, and a narrow copy of it then goes wrong (B-14). */
const FIRST_SEQ = 0x7fff_fffe;

/** Number of pages from GFN 0 that includes every GFN. */
const ALL = 1 << 20;

/** Events of the protocol. A fault samples the number; an invalidation begins, grows and ends. */
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

  /** Reads the sequence number, unsigned, for a fault that is about to look up its page. */
  *sample(): Steps<number> {
    const seq = yield* this.m.read(this.seq);
    for (const listener of this.listeners) listener.sampled?.();
    return seq >>> 0;
  }

  /** The sequence number, unsigned, within the current step. */
  now(): number {
    return this.m.peek(this.seq) >>> 0;
  }

  /** Number of invalidations in progress, within the current step. */
  underWay(): number {
    return this.m.peek(this.inProgress);
  }

  /** An invalidation in progress covers `gfn`; several form one range, gaps included. */
  covers(gfn: number): boolean {
    return this.underWay() > 0 && gfn >= this.m.peek(this.first) && gfn < this.m.peek(this.past);
  }

  /** Whether `gfn` seems to be invalidated, without mmu_lock: only a hint to retry early (K41). */
  *seemsUnderWay(gfn: number): Steps<boolean> {
    yield* this.m.read(this.inProgress);
    return this.covers(gfn);
  }

  /**
   * Whether the fault has to be retried: an invalidation has ended since `sampled`, or one in
   * progress covers `gfn` (any GFN when absent). Under mmu_lock.
   */
  *isStale(sampled: number, gfn = -1): Steps<boolean> {
    const now = (yield* this.m.read(this.seq)) >>> 0;
    return now !== sampled || (gfn < 0 ? this.underWay() !== 0 : this.covers(gfn));
  }

  /** Begins an invalidation, before the first zap in the range. Under mmu_lock for write. */
  *begin(gfn = 0, pages = ALL): Steps<void> {
    const { m } = this;
    const others = (yield* m.add(this.inProgress, 1)) - 1;
    m.poke(this.first, others === 0 ? gfn : Math.min(gfn, m.peek(this.first)));
    m.poke(this.past, others === 0 ? gfn + pages : Math.max(gfn + pages, m.peek(this.past)));
    for (const listener of this.listeners) listener.began?.(gfn, pages);
  }

  /** Adds GFNs to the invalidation that the caller has begun. Under mmu_lock for write. */
  *extend(gfn: number, pages: number): Steps<void> {
    yield access(this.first, WRITE);
    this.m.poke(this.first, Math.min(gfn, this.m.peek(this.first)));
    this.m.poke(this.past, Math.max(gfn + pages, this.m.peek(this.past)));
    for (const listener of this.listeners) listener.extended?.(gfn, pages);
  }

  /** Ends an invalidation: changes the number, then the count. Under mmu_lock for write. */
  *end(): Steps<void> {
    yield* this.m.add(this.seq, 1);
    yield* this.m.add(this.inProgress, -1);
    for (const listener of this.listeners) listener.ended?.();
  }
}
