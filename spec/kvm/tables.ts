/**
 * Page tables as KVM keeps them: pages of entries, each with what KVM remembers of it (struct
 * kvm_mmu_page): its level, the GFN of its first entry, how far its life has come. Direct roots,
 * which the hardware walks, and mirror roots are made of the same tables. Source: Linux,
 * arch/x86/kvm/mmu/mmu_internal.h, tdp_mmu.c.
 */
import type { Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import { RMW, WRITE, type Steps, access } from '../machine/step.ts';
import { EMPTY, kindOfSpte, pageOfSpte, TABLE, type Spte } from './spte.ts';

/** Kinds of kernel pages, as the allocator's reports name them. */
export const PAGE_KINDS = [
  'mirror table',
  'S-EPT',
  'direct table',
  'memslot',
  'vCPU',
  'shadow table',
] as const;
export const MIRROR_TABLE = 0;
export const SEPT_PAGE = 1;
export const DIRECT_TABLE = 2;
export const MEMSLOT_DATA = 3;
/** struct kvm_vcpu. */
export const VCPU_STRUCT = 4;
export const SHADOW_TABLE = 5;

/** How an entry was written. */
export type WriteKind = typeof STORED | typeof EXCHANGED | typeof COMPARED | typeof CLEARED;
/** A plain store: whatever anybody else wrote meanwhile is lost, unseen. */
export const STORED = 0;
export const EXCHANGED = 1;
export const COMPARED = 2;
/** Bits were cleared atomically. */
export const CLEARED = 3;

/**
 * What a rule may learn of the tables. `believed` is what the writer thinks was there: for a plain
 * store what it read some time before, else what there was.
 */
export type SpteWritten = (
  table: PageRef,
  index: number,
  before: Spte,
  after: Spte,
  how: WriteKind,
  believed: Spte,
) => void;

/** A place in a table: the entry's index, and the value that was read there. */
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
/** More words, for those who keep something with a table (roots.ts, nx-list.ts). */
export const ROLE = 3;
export const REFCOUNT = 4;
export const NEXT = 5;
export const NX_DISALLOWED = 6;
export const NX_NEXT = 7;
/** The table whose entry points to this one, plus one; 0 for a root. */
const PARENT = 8;
/** The root that this table is below, plus one. */
const ROOT = 9;
/** How far the table's life has come. */
const STAGE = 10;

/** Allocated; not all that belongs to it is in order yet. */
export const FRESH = 0;
/** Its entries are empty and it is accounted: it may be linked. */
export const READY = 1;
/** An entry points, or pointed, to it. */
export const LINKED = 2;
/** No entry points to it any more; it is on its way to be freed. */
export const UNLINKED = 3;
/** Stages of a table: FRESH to UNLINKED. */
export type Stage = 0 | 1 | 2 | 3;

/** Page tables of a VM, entry by entry. */
export class Tables {
  readonly m: Machine;
  readonly pages: Pages;
  readonly rootLevel: number;
  readonly indexBits: number;
  readonly listeners: SpteWritten[] = [];
  /** Told of each compare-and-exchange that failed. */
  readonly losers: ((table: PageRef, index: number) => void)[] = [];
  /** Told of each new table that may be linked from now on. */
  readonly onReady: ((table: PageRef, parent: PageRef) => void)[] = [];
  /** Told of each entry that KVM reads, and its value. */
  readonly readers: ((table: PageRef, index: number, value: Spte) => void)[] = [];

  constructor(m: Machine, pages: Pages, indexBits: number, rootLevel: number) {
    this.m = m;
    this.pages = pages;
    this.indexBits = indexBits;
    this.rootLevel = rootLevel;
  }

  get fanout(): number {
    return 1 << this.indexBits;
  }

  /** How many GFNs an entry at `level` maps. */
  span(level: number): number {
    return 1 << (this.indexBits * level);
  }

  /** First GFN of the range of an entry at `level`. */
  align(gfn: number, level: number): number {
    return gfn & ~(this.span(level) - 1);
  }

  index(gfn: number, level: number): number {
    return (gfn >> (this.indexBits * level)) & (this.fanout - 1);
  }

  /** The cell of a word that KVM keeps with a table. */
  word(table: PageRef, word: number): number {
    return this.pages.word(table, this.fanout + word);
  }

  /** A word that KVM keeps with a table, within the current step. */
  peekWord(table: PageRef, word: number): number {
    return this.m.peek(this.word(table, word));
  }

  /** Allocates an empty table of `level` whose first entry maps `gfn`; NO_PAGE when that fails. */
  *alloc(kind: number, level: number, gfn: number): Steps<PageRef> {
    return this.describe(yield* this.pages.alloc(kind), level, gfn);
  }

  /** {@link alloc} within the current step, or while a VM is set up. */
  allocNow(kind: number, level: number, gfn: number): PageRef {
    return this.describe(this.pages.allocNow(kind), level, gfn);
  }

  private describe(table: PageRef, level: number, gfn: number): PageRef {
    if (table === NO_PAGE) return NO_PAGE;
    this.m.poke(this.word(table, LEVEL), level);
    this.m.poke(this.word(table, GFN), gfn);
    return table;
  }

  /** Accounts for a new table, in one step: from now on it may be linked below `parent`. */
  *makeReady(table: PageRef, parent: PageRef): Steps<void> {
    yield access(this.word(table, STAGE), WRITE);
    this.m.poke(this.word(table, PARENT), parent + 1);
    this.m.poke(this.word(table, ROOT), this.rootOf(parent) + 1);
    this.m.poke(this.word(table, STAGE), READY);
    for (const told of this.onReady) told(table, parent);
  }

  stageOf(table: PageRef): Stage {
    return this.peekWord(table, STAGE) as Stage; // written by this file only
  }

  /** The table whose entry points, or is going to point, to this one; NO_PAGE for a root. */
  parentOf(table: PageRef): PageRef {
    return this.peekWord(table, PARENT) - 1;
  }

  /** The root that a table is, or is going to be, below; a root itself. */
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

  /** The external page that a mirror table stands for. */
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

  /** Exchanges an entry in one step; what was there. */
  *write(table: PageRef, index: number, value: Spte): Steps<Spte> {
    const before = yield* this.pages.xchgAt(table, index, value);
    this.tell(table, index, before, value, EXCHANGED, before);
    return before;
  }

  /** Compares and exchanges in one step; false, and nothing changed, when something else was there. */
  *cmpxchg(table: PageRef, index: number, expected: Spte, value: Spte): Steps<boolean> {
    const done = yield* this.pages.cmpxchgAt(table, index, expected, value);
    if (done) this.tell(table, index, expected, value, COMPARED, expected);
    else for (const loser of this.losers) loser(table, index);
    return done;
  }

  /** A plain store in one step, by somebody who has read `believed` there and goes by that (K3). */
  *store(table: PageRef, index: number, believed: Spte, value: Spte): Steps<void> {
    yield access(this.pages.word(table, index), WRITE);
    const before = this.m.peek(this.pages.word(table, index));
    this.m.poke(this.pages.word(table, index), value);
    this.pages.touch(table);
    this.tell(table, index, before, value, STORED, believed);
  }

  /** Clears bits of an entry atomically, in one step; what was there. */
  *clearBits(table: PageRef, index: number, bits: number): Steps<Spte> {
    yield access(this.pages.word(table, index), RMW);
    const cell = this.pages.word(table, index);
    const before = this.m.peek(cell);
    this.m.poke(cell, before & ~bits);
    this.pages.touch(table);
    this.tell(table, index, before, before & ~bits, CLEARED, before);
    return before;
  }

  private tell(
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

  /** Whether a table has no entry but empty ones, within the current step. */
  isEmpty(table: PageRef): boolean {
    for (let i = 0; i < this.fanout; i++)
      if (this.m.peek(this.pages.word(table, i)) !== EMPTY) return false;
    return true;
  }
}
