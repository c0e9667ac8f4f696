/**
 * What the TDP MMU meets of the shadow MMU, which serves nested guests: pages that it reclaims when there are too many,
 * and counts of pages that are out of step with the guest's tables. Neither is protected by anything but mmu_lock held
 * for write. Source: K7; mails of 47b0c2e4c220 and ce25681d59ff.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { RMW, type Steps } from '../machine/step.ts';
import type { Slot } from './memslots.ts';

export interface ShadowListener {
  /** Something was done that needs mmu_lock held for write. */
  used?(what: string): void;
}

/** Shadow pages that there may be. */
const LIMIT = 2;

export class ShadowMmu {
  readonly listeners: ShadowListener[] = [];
  private readonly m: Machine;
  private readonly used: Cell;
  private readonly unsync: Cell;
  /** Per slot: shadow pages that are accounted in it. */
  private readonly inSlot: Cell;
  private readonly slots: number;

  constructor(m: Machine, slots: number) {
    this.m = m;
    this.slots = slots;
    this.used = m.record('shadow pages', 'unsync');
    this.unsync = this.used + 1;
    this.inSlot = m.segment('shadow pages of slot', slots);
  }

  private tell(what: string): void {
    for (const listener of this.listeners) listener.used?.(what);
  }

  /** Makes sure that a shadow page can be had, zapping the oldest when there are too many (make_mmu_pages_available). */
  *makeAvailable(): Steps<void> {
    yield this.used * 8 + RMW;
    this.tell('shadow pages are reclaimed');
    if (this.m.peek(this.used) >= LIMIT) this.forgetAll();
  }

  /** Adds a shadow page, which is accounted in a slot, in one step. */
  *add(slot: Slot): Steps<void> {
    yield this.used * 8 + RMW;
    this.tell('a shadow page is added');
    this.m.poke(this.used, this.m.peek(this.used) + 1);
    this.m.poke(this.inSlot + slot, this.m.peek(this.inSlot + slot) + 1);
  }

  /** Some shadow page is accounted in the slot. */
  refersTo(slot: Slot): boolean {
    return this.m.peek(this.inSlot + slot) !== 0;
  }

  /** Counts a page as out of step with the guest's own table: a read and a write, not atomic. */
  *markUnsync(): Steps<void> {
    const before = yield* this.m.read(this.unsync);
    yield* this.m.write(this.unsync, before + 1);
    this.tell('unsync pages are counted');
  }

  /** Zaps all shadow pages. */
  *zapAll(): Steps<void> {
    yield this.used * 8 + RMW;
    this.tell('shadow pages are zapped');
    this.forgetAll();
  }

  private forgetAll(): void {
    this.m.poke(this.used, 0);
    for (let slot = 0; slot < this.slots; slot++) this.m.poke(this.inSlot + slot, 0);
  }
}
