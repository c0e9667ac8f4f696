/**
 * The invalidation protocol between whoever takes pages away and a fault that is installing one: a sequence number and
 * a count of invalidations under way. Changed under mmu_lock held for write; a fault samples it before it looks up its
 * page and checks it again under mmu_lock. Source: K37, K38.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import type { Steps } from '../machine/step.ts';

export class Invalidation {
  private readonly m: Machine;
  private readonly seq: Cell;
  private readonly inProgress: Cell;

  constructor(m: Machine) {
    this.m = m;
    this.seq = m.segment('mmu_invalidate_seq', 1, () => 'mmu_invalidate_seq');
    this.inProgress = m.segment('mmu_invalidate_in_progress', 1, () => 'mmu_invalidate_in_progress');
  }

  /** What a fault remembers before it looks up its page. */
  *sample(): Steps<number> {
    return yield* this.m.read(this.seq);
  }

  /** Under mmu_lock: was anything invalidated since `sampled`, or is it being now? Then the fault has to start over. */
  *isStale(sampled: number): Steps<boolean> {
    const now = yield* this.m.read(this.seq);
    return now !== sampled || this.m.peek(this.inProgress) !== 0;
  }

  /** Under mmu_lock for write, before anything is zapped. */
  *begin(): Steps<void> {
    yield* this.m.add(this.inProgress, 1);
  }

  /** Under mmu_lock for write, after the zap: the number first, then the count. */
  *end(): Steps<void> {
    yield* this.m.add(this.seq, 1);
    yield* this.m.add(this.inProgress, -1);
  }
}
