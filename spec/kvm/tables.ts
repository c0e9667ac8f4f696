/**
 * Page tables as KVM keeps them: pages of entries, each with its metadata (struct kvm_mmu_page):
 * level, GFN of the first entry, stage. Direct roots, which the hardware walks, and mirror roots
 * consist of the same tables. Source: Linux, arch/x86/kvm/mmu/mmu_internal.h, tdp_mmu.c.
 */
import type { Geometry } from '../machine/geometry.ts';
import type { Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import { RMW, WRITE, type Steps, access } from '../machine/step.ts';
import { EMPTY, kindOfSpte, pageOfSpte, TABLE, type Spte } from './spte.ts';

/** Kinds of kernel pages, as reports of the allocator name them. */
export const PAGE_KINDS = [
  'mirror table',
  'S-EPT',
  'direct table',
  'memslot',
  'vCPU',
  'shadow table',
  'PAMT',
] as const;
export const MIRROR_TABLE = 0;
export const SEPT_PAGE = 1;
export const DIRECT_TABLE = 2;
export const MEMSLOT_DATA = 3;
/** struct kvm_vcpu. */
export const VCPU_STRUCT = 4;
export const SHADOW_TABLE = 5;
/** One of a pair that holds entries of the module's PAMT. */
export const PAMT_PAGE = 6;

/** How an entry was written. */
export type WriteKind = typeof STORED | typeof EXCHANGED | typeof COMPARED | typeof CLEARED;
/** A plain store: it silently overwrites what others have written since the read. */
export const STORED = 0;
export const EXCHANGED = 1;
export const COMPARED = 2;
/** Bits were cleared atomically. */
export const CLEARED = 3;

/**
 * Called for each write of an entry. `believed` is the old value as the writer knows it: for a
 * plain store the value that it read before, else `before`.
 */
export type SpteWritten = (
  table: PageRef,
  index: number,
  before: Spte,
  after: Spte,
  how: WriteKind,
  believed: Spte,
) => void;

/** A place in a table, and the value that was read there. */
export interface SptePlace {
  readonly table: PageRef;
  readonly index: number;
  readonly level: number;
  readonly spte: Spte;
}

/** Words of a table page behind its entries. */
const LEVEL = 0;
const GFN = 1;
const EXTERNAL = 2;
/** Further words, which roots.ts and nx-list.ts use. */
export const ROLE = 3;
export const REFCOUNT = 4;
export const NEXT = 5;
export const NX_DISALLOWED = 6;
export const NX_NEXT = 7;
/** The table whose entry points to this one, plus one; 0 for a root. */
const PARENT = 8;
/** The root that this table is below, plus one. */
const ROOT = 9;
/** The table's {@link Stage}. */
const STAGE = 10;

/** Accounted, with its entries set up: it may be linked. */
export const READY = 1;
/** An entry points to it. */
export const LINKED = 2;
/** No entry points to it any more; it is about to be freed. */
export const UNLINKED = 3;
/** Stages of a table: READY, LINKED, UNLINKED; 0 is allocated, and not accounted yet. */
export type Stage = 0 | 1 | 2 | 3;

/** Page tables of a VM, entry by entry. */
export class Tables {
  readonly m: Machine;
  readonly pages: Pages;
  readonly rootLevel: number;
  readonly geometry: Geometry;
  readonly listeners: SpteWritten[] = [];
  /** Called for each cmpxchg that fails. */
  readonly onCmpxchgFailed: ((table: PageRef, index: number) => void)[] = [];
  /** Called for each new table that may be linked from now on. */
  readonly onReady: ((table: PageRef, parent: PageRef) => void)[] = [];
  /** Called for each entry that KVM reads, with its value. */
  readonly readers: ((table: PageRef, index: number, value: Spte) => void)[] = [];

  constructor(m: Machine, pages: Pages, geometry: Geometry, rootLevel: number) {
    this.m = m;
    this.pages = pages;
    this.geometry = geometry;
    this.rootLevel = rootLevel;
  }

  get fanout(): number {
    return this.geometry.fanout;
  }

  /** Number of GFNs that an entry at `level` maps. */
  span(level: number): number {
    return this.geometry.span(level);
  }

  /** First GFN of the entry at `level` that maps `gfn`. */
  align(gfn: number, level: number): number {
    return this.geometry.align(gfn, level);
  }

  index(gfn: number, level: number): number {
    return this.geometry.index(gfn, level);
  }

  /** Cell of a word of a table's metadata. */
  word(table: PageRef, word: number): number {
    return this.pages.word(table, this.fanout + word);
  }

  /** A word of a table's metadata, within the current step. */
  peekWord(table: PageRef, word: number): number {
    return this.m.peek(this.word(table, word));
  }

  /** Allocates an empty table of `level` whose first entry maps `gfn`; NO_PAGE when that fails. */
  *alloc(kind: number, level: number, gfn: number): Steps<PageRef> {
    return this.describe(yield* this.pages.alloc(kind), level, gfn);
  }

  /** {@link alloc} within the current step or during set-up. */
  allocNow(kind: number, level: number, gfn: number): PageRef {
    return this.describe(this.pages.allocNow(kind), level, gfn);
  }

  private describe(table: PageRef, level: number, gfn: number): PageRef {
    if (table === NO_PAGE) return NO_PAGE;
    this.m.poke(this.word(table, LEVEL), level);
    this.m.poke(this.word(table, GFN), gfn);
    return table;
  }

  /** Accounts a new table, in one step: from now on it may be linked below `parent`. */
  *makeReady(table: PageRef, parent: PageRef): Steps<void> {
    yield access(this.word(table, STAGE), WRITE);
    this.m.poke(this.word(table, PARENT), parent + 1);
    this.m.poke(this.word(table, ROOT), this.rootOf(parent) + 1);
    this.m.poke(this.word(table, STAGE), READY);
    for (const listener of this.onReady) listener(table, parent);
  }

  stageOf(table: PageRef): Stage {
    return this.peekWord(table, STAGE) as Stage; // written by this file only
  }

  /** The table whose entry points, or will point, to this one; NO_PAGE for a root. */
  parentOf(table: PageRef): PageRef {
    return this.peekWord(table, PARENT) - 1;
  }

  /** The root that a table is, or will be, below; for a root, itself. */
  rootOf(table: PageRef): PageRef {
    const root = this.peekWord(table, ROOT) - 1;
    return root === NO_PAGE ? table : root;
  }

  levelOf(table: PageRef): number {
    return this.peekWord(table, LEVEL);
  }

  /** First GFN that entry `index` of a table maps. */
  gfnOf(table: PageRef, index: number): number {
    return this.peekWord(table, GFN) + index * this.span(this.levelOf(table));
  }

  /** The external page with the module's copy of a mirror table. */
  externalOf(table: PageRef): PageRef {
    this.pages.touch(table);
    return this.peekWord(table, EXTERNAL) - 1;
  }

  protected setExternal(table: PageRef, external: PageRef): void {
    this.m.poke(this.word(table, EXTERNAL), external + 1);
  }

  *read(table: PageRef, index: number): Steps<Spte> {
    const value = yield* this.pages.readAt(table, index);
    for (const reader of this.readers) reader(table, index, value);
    return value;
  }

  /** Exchanges an entry in one step; returns the old value. */
  *write(table: PageRef, index: number, value: Spte): Steps<Spte> {
    const before = yield* this.pages.xchgAt(table, index, value);
    this.notify(table, index, before, value, EXCHANGED, before);
    return before;
  }

  /** Compares and exchanges an entry in one step; false if it did not hold `expected`. */
  *cmpxchg(table: PageRef, index: number, expected: Spte, value: Spte): Steps<boolean> {
    const done = yield* this.pages.cmpxchgAt(table, index, expected, value);
    if (done) this.notify(table, index, expected, value, COMPARED, expected);
    else for (const listener of this.onCmpxchgFailed) listener(table, index);
    return done;
  }

  /** Stores an entry in one step; the writer takes `believed`, which it has read, as old (K3). */
  *store(table: PageRef, index: number, believed: Spte, value: Spte): Steps<void> {
    yield access(this.pages.word(table, index), WRITE);
    const before = this.m.peek(this.pages.word(table, index));
    this.m.poke(this.pages.word(table, index), value);
    this.pages.touch(table);
    this.notify(table, index, before, value, STORED, believed);
  }

  /** Clears bits of an entry atomically, in one step; returns the old value. */
  *clearBits(table: PageRef, index: number, bits: number): Steps<Spte> {
    yield access(this.pages.word(table, index), RMW);
    const cell = this.pages.word(table, index);
    const before = this.m.peek(cell);
    this.m.poke(cell, before & ~bits);
    this.pages.touch(table);
    this.notify(table, index, before, before & ~bits, CLEARED, before);
    return before;
  }

  private notify(
    table: PageRef,
    index: number,
    before: Spte,
    after: Spte,
    how: WriteKind,
    believed: Spte,
  ): void {
    for (const listener of this.listeners) listener(table, index, before, after, how, believed);
    if (before === after) return;
    if (kindOfSpte(before) === TABLE) this.m.poke(this.word(pageOfSpte(before), STAGE), UNLINKED);
    if (kindOfSpte(after) === TABLE) this.m.poke(this.word(pageOfSpte(after), STAGE), LINKED);
  }

  /** Walks from `root` towards `level`, as far as tables go. */
  *walkFrom(root: PageRef, gfn: number, level: number): Steps<SptePlace> {
    let table = root;
    for (let at = this.rootLevel; ; at--) {
      const index = this.index(gfn, at);
      const spte = yield* this.read(table, index);
      if (at <= level || kindOfSpte(spte) !== TABLE) return { table, index, level: at, spte };
      table = pageOfSpte(spte);
    }
  }

  /** All entries of a table are empty. Within the current step. */
  isEmpty(table: PageRef): boolean {
    for (let i = 0; i < this.fanout; i++)
      if (this.m.peek(this.pages.word(table, i)) !== EMPTY) return false;
    return true;
  }
}
