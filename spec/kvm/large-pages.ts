/**
 * Ranges that KVM must not map large (disallow_lpage of a memslot), for the one reason that a TD
 * needs: the guest has accepted a small page of the range. An inhibited range stays inhibited.
 * Written under mmu_lock held for write, read under mmu_lock. Source: huge page series v3 (Jan
 * 2026), GUEST_INHIBIT; K67.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import type { Steps } from '../machine/step.ts';

/** Ranges in which large pages are inhibited. */
export class LargePages {
  private readonly m: Machine;
  private readonly span: number;
  private readonly inhibited: Cell;

  constructor(m: Machine, gfns: number, span: number) {
    this.m = m;
    this.span = span;
    this.inhibited = m.segment('guest_inhibit', gfns / span, (i) => `guest_inhibit[${i * span}]`);
  }

  private cell(gfn: number): Cell {
    return this.inhibited + Math.floor(gfn / this.span);
  }

  *inhibit(gfn: number): Steps<void> {
    yield* this.m.write(this.cell(gfn), 1);
  }

  *isInhibited(gfn: number): Steps<boolean> {
    return (yield* this.m.read(this.cell(gfn))) !== 0;
  }
}
