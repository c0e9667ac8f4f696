/**
 * Memslots: the guest frames that memory backs, their address space (1 is SMM) and user address. A
 * slot is replaced as a whole, under slots_lock; readers are inside SRCU read sections. A deletion
 * therefore marks the slot invalid, waits for readers, and only then frees the slot's data. Every
 * change increments the generation, which MMIO SPTEs contain. Source: Linux, virt/kvm/kvm_main.c:
 * kvm_set_memslot(); K42, K50.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import { READ, WRITE, type Steps, access } from '../machine/step.ts';
import { MEMSLOT_DATA } from './tables.ts';

/** Index of a slot, or NO_MEMSLOT. */
export type Slot = number;
export const NO_MEMSLOT: Slot = -1;

/** Place of a valid slot. `hva` is the user address (in pages) of its first page. */
export interface SlotPlace {
  readonly asId: 0 | 1;
  readonly gfn: number;
  readonly pages: number;
  readonly hva: number;
}

export const SLOT_ABSENT = 0;
export const SLOT_VALID = 1;
/** KVM_MEMSLOT_INVALID: being deleted or moved; no fault may use it any more. */
export const SLOT_INVALID = 2;
/** SLOT_ABSENT, SLOT_VALID or SLOT_INVALID. */
export type SlotState = 0 | 1 | 2;

export const READ_ONLY = 1;
export const LOG_DIRTY = 2;
/** A set of READ_ONLY and LOG_DIRTY. */
export type SlotFlags = number;

/** Cells per slot. */
const STATE = 0;
const GFN = 1;
const FLAGS = 2;
const DATA = 3;
const CELLS_PER_SLOT = 4;
const FIELDS = ['state', 'gfn', 'flags', 'data'] as const;

/** Events of memslots. */
export interface SlotListener {
  /** An actor has looked up the slot of a GFN. */
  lookedUp?(asId: number, gfn: number, slot: Slot): void;
  installed?(slot: Slot, state: SlotState, flags: SlotFlags): void;
  /** The data of a slot is about to be freed. */
  freeing?(slot: Slot): void;
  /** The dirty bit of `gfn` was set; a reader of the log has taken it. */
  marked?(slot: Slot, gfn: number): void;
  taken?(slot: Slot, gfn: number): void;
}

/** Memslots of a VM: states, flags, dirty bitmaps. */
export class Memslots {
  readonly listeners: SlotListener[] = [];
  readonly places: readonly SlotPlace[];
  private readonly m: Machine;
  readonly pages: Pages;
  /** Number of changes. Every step on slots announces this cell. */
  readonly generation: Cell;
  private readonly cells: Cell;

  constructor(m: Machine, pages: Pages, places: readonly SlotPlace[]) {
    this.m = m;
    this.pages = pages;
    this.places = places;
    this.generation = m.record('memslot generation');
    this.cells = m.segment(
      'memslot',
      places.length * CELLS_PER_SLOT,
      (i) => `memslot ${Math.floor(i / CELLS_PER_SLOT)}.${FIELDS[i % CELLS_PER_SLOT]}`,
    );
  }

  /** Makes a slot valid, while a VM is set up. */
  installNow(slot: Slot): void {
    this.set(slot, DATA, this.pages.allocNow(MEMSLOT_DATA) + 1);
    this.set(slot, GFN, this.place(slot).gfn);
    this.set(slot, STATE, SLOT_VALID);
  }

  private get(slot: Slot, field: number): number {
    return this.m.peek(this.cells + slot * CELLS_PER_SLOT + field);
  }

  private set(slot: Slot, field: number, value: number): void {
    this.m.poke(this.cells + slot * CELLS_PER_SLOT + field, value);
  }

  place(slot: Slot): SlotPlace {
    const place = this.places[slot];
    if (place === undefined)
      throw new Error(`no memslot ${slot}: the VM has ${this.places.length}`);
    return place;
  }

  stateOf(slot: Slot): SlotState {
    return this.get(slot, STATE) as SlotState; // written by this file only
  }

  flagsOf(slot: Slot): SlotFlags {
    return this.get(slot, FLAGS);
  }

  /** First GFN of a slot, which can move. */
  gfnOf(slot: Slot): number {
    return this.get(slot, GFN);
  }

  /** User address of a GFN of a slot. */
  hvaOf(slot: Slot, gfn: number): number {
    return this.place(slot).hva + gfn - this.gfnOf(slot);
  }

  isLogged(slot: Slot): boolean {
    return (this.flagsOf(slot) & LOG_DIRTY) !== 0;
  }

  /** The slot that contains `gfn`, valid or invalid, within the current step. */
  find(asId: number, gfn: number): Slot {
    for (let slot = 0; slot < this.places.length; slot++) {
      const first = this.gfnOf(slot);
      const { asId: as, pages } = this.place(slot);
      if (this.stateOf(slot) !== SLOT_ABSENT && as === asId && gfn >= first && gfn < first + pages)
        return slot;
    }
    return NO_MEMSLOT;
  }

  /** {@link find} in one step. The result is valid until the caller ends its SRCU read section. */
  *lookup(asId: number, gfn: number): Steps<Slot> {
    yield access(this.generation, READ);
    const slot = this.find(asId, gfn);
    for (const listener of this.listeners) listener.lookedUp?.(asId, gfn, slot);
    return slot;
  }

  /** Replaces a slot, in one step. The caller holds slots_lock. */
  *install(
    slot: Slot,
    state: SlotState,
    flags = this.flagsOf(slot),
    gfn = this.gfnOf(slot),
  ): Steps<void> {
    yield access(this.generation, WRITE);
    this.m.poke(this.generation, this.m.peek(this.generation) + 1);
    this.set(slot, STATE, state);
    this.set(slot, FLAGS, flags);
    this.set(slot, GFN, gfn);
    for (const listener of this.listeners) listener.installed?.(slot, state, flags);
  }

  /** Page with a slot's data: its dirty bitmap, and the counts that forbid huge pages. */
  dataOf(slot: Slot): PageRef {
    return this.get(slot, DATA) - 1;
  }

  *allocData(slot: Slot): Steps<boolean> {
    const data = yield* this.pages.alloc(MEMSLOT_DATA);
    if (data === NO_PAGE) return false;
    this.set(slot, DATA, data + 1);
    return true;
  }

  *freeData(slot: Slot): Steps<void> {
    const data = this.dataOf(slot);
    for (const listener of this.listeners) listener.freeing?.(slot);
    yield* this.pages.free(data);
  }

  /** Cell of a GFN's dirty bit. */
  private bit(slot: Slot, gfn: number): Cell {
    return this.pages.word(this.dataOf(slot), gfn - this.gfnOf(slot));
  }

  /** Marks a page dirty in the log, in one step; no effect if the slot is not logged. */
  *markDirty(slot: Slot, gfn: number): Steps<void> {
    if (!this.isLogged(slot)) return;
    yield access(this.bit(slot, gfn), WRITE);
    this.markNow(slot, gfn);
  }

  /** {@link markDirty} within the current step, as by the hardware (PML). */
  markNow(slot: Slot, gfn: number): void {
    if (!this.isLogged(slot)) return;
    this.pages.touch(this.dataOf(slot));
    this.m.poke(this.bit(slot, gfn), 1);
    for (const listener of this.listeners) listener.marked?.(slot, gfn);
  }

  isDirty(slot: Slot, gfn: number): boolean {
    return this.m.peek(this.bit(slot, gfn)) !== 0;
  }

  /** Clears a page's bit for a reader of the log, in one step; true if it was set. */
  *takeDirty(slot: Slot, gfn: number): Steps<boolean> {
    const before = yield* this.m.xchg(this.bit(slot, gfn), 0);
    this.pages.touch(this.dataOf(slot));
    if (before !== 0) for (const listener of this.listeners) listener.taken?.(slot, gfn);
    return before !== 0;
  }
}
