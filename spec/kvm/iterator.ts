/**
 * A walk over the entries of a root, in order of GFNs, upper levels first. It rereads an entry
 * before it steps down, so that it does not descend into an unlinked table, and it restarts at the
 * root after mmu_lock was dropped. Source: Linux, arch/x86/kvm/mmu/tdp_iter.c; K6, K27, K28.
 */
import type { PageRef } from '../machine/pages.ts';
import type { Steps } from '../machine/step.ts';
import { kindOfSpte, pageOfSpte, TABLE, type Spte } from './spte.ts';
import type { Tables } from './tables.ts';

/** The lowest level of entries. */
const LEVEL_4K = 0;

/** Extent of a walk. */
export interface WalkRange {
  readonly root: PageRef;
  /** First GFN, and the GFN after the last. */
  readonly first: number;
  readonly end: number;
  /** The lowest level whose entries are visited; {@link LEVEL_4K} by default. */
  readonly minLevel?: number;
}

/** An iterator over the entries of a range. */
export class Walk {
  readonly root: PageRef;
  readonly first: number;
  readonly end: number;
  /** The current entry: its table, index, level, first GFN and the value that was read. */
  table: PageRef = -1;
  index = 0;
  level = 0;
  gfn = 0;
  spte: Spte = 0;
  /** mmu_lock was dropped since the entry was read: the current entry is no longer valid. */
  yielded = false;
  /** GFN at which the walk resumes, and that at which it last yielded. */
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

  /** Moves to the next entry; false when there is none. */
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

  /** Moves to the root's entry for the GFN at which the walk resumes. */
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

  /** Moves into the table that the entry points to; false if it no longer points to one. */
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

  /** Reads the entry again, after another actor has changed it first. */
  *reread(): Steps<Spte> {
    this.spte = yield* this.tables.read(this.table, this.index);
    return this.spte;
  }
}
