/**
 * A walk over the entries of a root, in order of GFNs, upper levels first. It looks at an entry
 * again before it steps down, so that it never descends into a table that is no longer linked, and
 * it starts over at the root when mmu_lock was dropped on the way. Source: Linux,
 * arch/x86/kvm/mmu/tdp_iter.c; K6, K27, K28.
 */
import type { PageRef } from '../machine/pages.ts';
import type { Steps } from '../machine/step.ts';
import { kindOfSpte, pageOfSpte, TABLE, type Spte } from './spte.ts';
import type { Tables } from './tables.ts';

/** The lowest level of entries. */
export const LEVEL_4K = 0;

/** What a walk may do and covers. */
export interface WalkRange {
  readonly root: PageRef;
  /** First GFN, and the one after the last. */
  readonly first: number;
  readonly end: number;
  /** Entries below this level are not visited. */
  readonly minLevel?: number;
}

/** An iterator over the entries of a range. */
export class Walk {
  readonly root: PageRef;
  readonly first: number;
  readonly end: number;
  /**
   * The entry that the walk is at: its table, index, level, first GFN and the value that was read
   * there.
   */
  table: PageRef = -1;
  index = 0;
  level = 0;
  gfn = 0;
  spte: Spte = 0;
  /** mmu_lock was dropped since the entry was read: nothing about it can be relied on. */
  yielded = false;
  /** GFN from which the walk goes on, and where it was when it last yielded. */
  nextGfn: number;
  yieldedGfn = -1;

  private readonly tables: Tables;
  private readonly minLevel: number;
  private readonly path: PageRef[] = [];
  private started = false;

  constructor(tables: Tables, { root, first, end, minLevel = LEVEL_4K }: WalkRange) {
    this.tables = tables;
    this.root = root;
    this.first = first;
    this.end = Math.min(end, tables.span(tables.rootLevel + 1));
    this.nextGfn = first;
    this.minLevel = minLevel;
  }

  /** Goes to the next entry; false when there is none. */
  *next(): Steps<boolean> {
    if (!this.started || this.yielded) return yield* this.start();
    if (this.level > this.minLevel && (yield* this.stepDown())) return this.gfn < this.end;
    for (;;) {
      if (this.index + 1 < this.tables.fanout) {
        yield* this.moveTo(this.level, this.index + 1);
        break;
      }
      if (this.level === this.tables.rootLevel) return false;
      this.level++;
      this.table = this.path[this.level] ?? this.root;
      this.index = this.tables.index(this.gfn, this.level);
    }
    this.nextGfn = Math.max(this.nextGfn, this.gfn);
    return this.gfn < this.end;
  }

  /** From the root to the highest entry that maps the GFN at which the walk is to go on. */
  private *start(): Steps<boolean> {
    this.started = true;
    this.yielded = false;
    if (this.nextGfn >= this.end) return false;
    this.path[this.tables.rootLevel] = this.root;
    this.table = this.root;
    yield* this.moveTo(
      this.tables.rootLevel,
      this.tables.index(this.nextGfn, this.tables.rootLevel),
    );
    return true;
  }

  /** Into the table that the entry points to, if it still does. */
  private *stepDown(): Steps<boolean> {
    this.spte = yield* this.tables.read(this.table, this.index);
    if (kindOfSpte(this.spte) !== TABLE) return false;
    this.table = pageOfSpte(this.spte);
    this.path[this.level - 1] = this.table;
    yield* this.moveTo(
      this.level - 1,
      this.tables.index(Math.max(this.nextGfn, this.gfn), this.level - 1),
    );
    return true;
  }

  private *moveTo(level: number, index: number): Steps<void> {
    this.level = level;
    this.index = index;
    this.spte = yield* this.tables.read(this.table, index);
    const reach = this.tables.span(level + 1);
    const base =
      level === this.tables.rootLevel
        ? 0
        : Math.floor(Math.max(this.gfn, this.nextGfn) / reach) * reach;
    this.gfn = base + index * this.tables.span(level);
  }

  /** Reads the entry again, after somebody else won the race to change it. */
  *reread(): Steps<Spte> {
    this.spte = yield* this.tables.read(this.table, this.index);
    return this.spte;
  }
}
