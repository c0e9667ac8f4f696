/**
 * The caches of one vCPU's hardware: translations, and paging-structure entries, from which a later
 * walk starts below the root. Both stay until they are flushed or evicted, whatever happens to the
 * tables that they come from.
 *
 * A TLB belongs to the actor that runs its vCPU: that actor fills it, and flushes it between two
 * steps of its guest. Other actors may flush it only while the vCPU is outside the guest. Source:
 * Intel SDM volume 3, "Caching Translation Information" for VMX.
 */
import type { Cell, Machine } from './machine.ts';
import { WRITE, type Steps, access } from './step.ts';

/** Number of 4 KiB pages that an entry maps, by level. */
export interface Spans {
  span(level: number): number;
}

/** Permission bits of an entry or an access. */
export const READ_ACCESS = 1;
export const WRITE_ACCESS = 2;
export const EXECUTE_ACCESS = 4;
export const ALL_ACCESS = READ_ACCESS | WRITE_ACCESS | EXECUTE_ACCESS;
export type Permissions = number;

/** Cells per slot. SPACE is the root of the tables plus one, or 0 for an empty slot. */
const SPACE = 0;
const GFN = 1;
const LEVEL = 2;
const PERMISSIONS = 3;
const DIRTY = 4;
const TARGET = 5;
const CELLS_PER_SLOT = 6;
const FIELDS = ['space', 'gfn', 'level', 'permissions', 'dirty', 'target'] as const;

/** A slot of a cache, or -1. */
export type Slot = number;

/** A small cache of table entries, by root, GFN and level; when full it replaces slots in turn. */
export class EntryCache {
  private readonly m: Machine;
  private readonly spans: Spans;
  private readonly slots: Cell;
  private readonly capacity: number;
  private readonly victim: Cell;

  constructor(m: Machine, name: string, spans: Spans, capacity: number) {
    this.m = m;
    this.spans = spans;
    this.capacity = capacity;
    this.victim = m.record(`${name}.victim`);
    this.slots = m.segment(
      name,
      capacity * CELLS_PER_SLOT,
      (i) => `${name}[${Math.floor(i / CELLS_PER_SLOT)}].${FIELDS[i % CELLS_PER_SLOT]}`,
    );
  }

  private get(slot: Slot, field: number): number {
    return this.m.peek(this.slots + slot * CELLS_PER_SLOT + field);
  }

  private set(slot: Slot, field: number, value: number): void {
    this.m.poke(this.slots + slot * CELLS_PER_SLOT + field, value);
  }

  /** The slot of lowest level that holds an entry of `root` for `gfn`. */
  find(root: number, gfn: number): Slot {
    let best = -1;
    for (let slot = 0; slot < this.capacity; slot++) {
      if (this.get(slot, SPACE) !== root + 1 || !this.overlaps(slot, gfn, 1)) continue;
      if (best < 0 || this.level(slot) < this.level(best)) best = slot;
    }
    return best;
  }

  private overlaps(slot: Slot, gfn: number, pages: number): boolean {
    const first = this.get(slot, GFN);
    return first < gfn + pages && gfn < first + this.spans.span(this.level(slot));
  }

  level(slot: Slot): number {
    return this.get(slot, LEVEL);
  }

  permissions(slot: Slot): Permissions {
    return this.get(slot, PERMISSIONS);
  }

  /** The D bit is set: a write through this entry does not have to set it. */
  isDirty(slot: Slot): boolean {
    return this.get(slot, DIRTY) !== 0;
  }

  /** The page, or the table, that the entry points to. */
  target(slot: Slot): number {
    return this.get(slot, TARGET);
  }

  /** Caches an entry; it replaces an entry for the same range. */
  put(
    root: number,
    gfn: number,
    level: number,
    permissions: Permissions,
    dirty: boolean,
    target: number,
  ): void {
    const first = gfn - (gfn % this.spans.span(level));
    const slot = this.slotFor(root, first, level);
    this.set(slot, SPACE, root + 1);
    this.set(slot, GFN, first);
    this.set(slot, LEVEL, level);
    this.set(slot, PERMISSIONS, permissions);
    this.set(slot, DIRTY, dirty ? 1 : 0);
    this.set(slot, TARGET, target);
  }

  private slotFor(root: number, first: number, level: number): Slot {
    let empty = -1;
    for (let slot = this.capacity - 1; slot >= 0; slot--) {
      if (this.get(slot, SPACE) === 0) empty = slot;
      else if (
        this.get(slot, SPACE) === root + 1 &&
        this.get(slot, GFN) === first &&
        this.level(slot) === level
      ) {
        return slot;
      }
    }
    if (empty >= 0) return empty;
    const slot = this.m.peek(this.victim);
    this.m.poke(this.victim, (slot + 1) % this.capacity);
    return slot;
  }

  /** Drops the entries that map any of `pages` pages from `gfn`, of every root or of one. */
  dropRange(gfn: number, pages: number, root = -1): void {
    for (let slot = 0; slot < this.capacity; slot++) {
      if (this.isOf(slot, root) && this.overlaps(slot, gfn, pages)) this.set(slot, SPACE, 0);
    }
  }

  /** Drops all entries, of every root or of one. */
  drop(root = -1): void {
    for (let slot = 0; slot < this.capacity; slot++)
      if (this.isOf(slot, root)) this.set(slot, SPACE, 0);
  }

  private isOf(slot: Slot, root: number): boolean {
    const space = this.get(slot, SPACE);
    return space !== 0 && (root < 0 || space === root + 1);
  }

  /** Whether any entry, of whatever root and range, points to `target`. */
  pointsTo(target: number): boolean {
    for (let slot = 0; slot < this.capacity; slot++) {
      if (this.get(slot, SPACE) !== 0 && this.target(slot) === target) return true;
    }
    return false;
  }
}

/** Extent of a flush: INVEPT drops both caches, a leaf-only flush only the translations. */
export interface FlushOptions {
  /** Only entries of this root. */
  readonly root?: number;
  /** Keeps the paging-structure entries. */
  readonly leavesOnly?: boolean;
}

/** A TLB: cached translations and paging-structure entries. */
export class Tlb {
  /** Number of flushes. Every step on the TLB announces this cell. */
  readonly cell: Cell;
  readonly translations: EntryCache;
  readonly tables: EntryCache;
  /** Called when the TLB's own vCPU flushes it. */
  readonly onFlush: (() => void)[] = [];
  private readonly m: Machine;

  constructor(m: Machine, name: string, spans: Spans, capacity = 8) {
    this.m = m;
    this.cell = m.record(name);
    this.translations = new EntryCache(m, `${name}.translations`, spans, capacity);
    this.tables = new EntryCache(m, `${name}.tables`, spans, capacity);
  }

  /** Drops all entries that `options` select, in one step. */
  *flush(options: FlushOptions = {}): Steps<void> {
    yield access(this.cell, WRITE);
    this.flushNow(options);
    for (const listener of this.onFlush) listener();
  }

  /** {@link flush} within the current step. */
  flushNow(options: FlushOptions = {}): void {
    this.translations.drop(options.root);
    if (options.leavesOnly !== true) this.tables.drop(options.root);
    this.m.poke(this.cell, this.m.peek(this.cell) + 1);
  }

  /** Drops the entries that map any of `pages` pages from `gfn`, in one step. */
  *flushRange(gfn: number, pages: number, options: FlushOptions = {}): Steps<void> {
    yield access(this.cell, WRITE);
    this.translations.dropRange(gfn, pages, options.root);
    if (options.leavesOnly !== true) this.tables.dropRange(gfn, pages, options.root);
    this.m.poke(this.cell, this.m.peek(this.cell) + 1);
    for (const listener of this.onFlush) listener();
  }
}
