/**
 * The parts of the shadow MMU, which serves nested guests, that the TDP MMU meets: pages that it
 * reclaims when there are too many, a count of pages that are not in sync with the guest's tables,
 * and one shadow table. That table is indirect: the guest's own table determines what an entry
 * maps, and can map another GFN through the same entry later. Only mmu_lock held for write protects
 * all of this. Source: K7; Linux, commits 47b0c2e4c220 and ce25681d59ff; B-42.
 */
import type { Geometry } from '../machine/geometry.ts';
import type { Cell, Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import { RMW, type Steps, access } from '../machine/step.ts';
import type { Slot } from './memslots.ts';
import { EMPTY, isLeafSpte, WRITABLE, type Spte } from './spte.ts';
import { SHADOW_TABLE, Tables } from './tables.ts';

/** Events of the shadow MMU. */
export interface ShadowListener {
  /** An operation, which `what` describes, was performed that needs mmu_lock held for write. */
  used?(what: string): void;
}

/** Largest number of shadow pages. */
const LIMIT = 2;

/** The shadow MMU: one table for nested guests. */
export class ShadowMmu {
  readonly listeners: ShadowListener[] = [];
  readonly tables: Tables;
  /** The shadow table, or NO_PAGE. */
  readonly table: PageRef;
  private readonly m: Machine;
  private readonly used: Cell;
  private readonly unsync: Cell;
  /** Per slot: number of shadow pages that are accounted in it. */
  private readonly inSlot: Cell;
  private readonly slots: number;
  /** Per entry of the table: the GFN that it maps, plus one. */
  private readonly targets: Cell;

  constructor(m: Machine, pages: Pages, geometry: Geometry, slots: number, exists: boolean) {
    this.m = m;
    this.slots = slots;
    this.tables = new Tables(m, pages, geometry, 0);
    this.table = exists ? this.tables.allocNow(SHADOW_TABLE, 0, 0) : NO_PAGE;
    this.used = m.record('shadow pages', 'unsync');
    this.unsync = this.used + 1;
    this.inSlot = m.segment('shadow pages of slot', slots);
    this.targets = m.segment('GFN of shadow entry', this.tables.fanout);
  }

  private notify(what: string): void {
    for (const listener of this.listeners) listener.used?.(what);
  }

  /** Makes room for a shadow page: zaps all if there are too many (make_mmu_pages_available). */
  *makeAvailable(): Steps<void> {
    yield access(this.used, RMW);
    this.notify('shadow pages are reclaimed');
    if (this.m.peek(this.used) >= LIMIT) this.forgetAll();
  }

  /** Adds a shadow page that is accounted in a slot, in one step. */
  *add(slot: Slot): Steps<void> {
    yield access(this.used, RMW);
    this.notify('a shadow page is added');
    this.m.poke(this.used, this.m.peek(this.used) + 1);
    this.m.poke(this.inSlot + slot, this.m.peek(this.inSlot + slot) + 1);
  }

  /** Some shadow page is accounted in the slot. */
  refersTo(slot: Slot): boolean {
    return this.m.peek(this.inSlot + slot) !== 0;
  }

  /** Counts a page that is not in sync with the guest's table: a read and a write, not atomic. */
  *markUnsync(): Steps<void> {
    const before = yield* this.m.read(this.unsync);
    yield* this.m.write(this.unsync, before + 1);
    this.notify('unsync pages are counted');
  }

  /** Index of the entry for a GFN; GFNs share entries. */
  indexOf(gfn: number): number {
    return gfn % this.tables.fanout;
  }

  /** The GFN that an entry maps, or -1. */
  targetOf(index: number): number {
    return this.m.peek(this.targets + index) - 1;
  }

  /** Maps `gfn` by its entry. */
  *map(gfn: number, leaf: Spte): Steps<void> {
    const index = this.indexOf(gfn);
    yield* this.tables.write(this.table, index, leaf);
    this.m.poke(this.targets + index, gfn + 1);
  }

  /** Zaps the entries that map GFNs of a range. */
  *zapRange(gfn: number, pages: number): Steps<void> {
    for (let i = 0; i < this.tables.fanout; i++) {
      if (this.isIn(i, gfn, pages)) yield* this.tables.write(this.table, i, EMPTY);
    }
  }

  /** Clears W in the entries that map GFNs of a range. */
  *writeProtect(gfn: number, pages: number): Steps<void> {
    for (let i = 0; i < this.tables.fanout; i++) {
      if (this.isIn(i, gfn, pages)) yield* this.tables.clearBits(this.table, i, WRITABLE);
    }
  }

  private isIn(index: number, gfn: number, pages: number): boolean {
    const target = this.targetOf(index);
    const isMapped = isLeafSpte(this.m.peek(this.tables.pages.word(this.table, index)));
    return isMapped && target >= gfn && target < gfn + pages;
  }

  /** Zaps all shadow pages. */
  *zapAll(): Steps<void> {
    yield access(this.used, RMW);
    this.notify('shadow pages are zapped');
    this.forgetAll();
    for (let i = 0; i < this.tables.fanout; i++) yield* this.tables.write(this.table, i, EMPTY);
  }

  private forgetAll(): void {
    this.m.poke(this.used, 0);
    for (let slot = 0; slot < this.slots; slot++) this.m.poke(this.inSlot + slot, 0);
  }
}
