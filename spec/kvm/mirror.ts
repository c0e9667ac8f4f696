/**
 * The mirror root: KVM's own copy of the Secure EPT, in ordinary pages. A mirror table also remembers the external page
 * that holds the same table for the module. Source: K43 to K51.
 */
import type { Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import type { Steps } from '../machine/step.ts';
import { kindOfSpte, pageOfSpte, TABLE, type Spte } from './spte.ts';

/** Kinds of kernel pages, as the allocator's reports name them. */
export const PAGE_KINDS = ['mirror table', 'S-EPT'] as const;
export const MIRROR_TABLE = 0;
export const SEPT_PAGE = 1;

/** What a rule may learn of the mirror. */
export type SpteWritten = (table: PageRef, index: number, before: Spte, after: Spte) => void;

/** A place in the mirror: the table, the entry's index, and the value that was read there. */
export interface SptePlace {
  readonly table: PageRef;
  readonly index: number;
  readonly level: number;
  readonly spte: Spte;
}

export class Mirror {
  private readonly m: Machine;
  readonly pages: Pages;
  readonly root: PageRef;
  readonly rootLevel: number;
  private readonly indexBits: number;
  readonly listeners: SpteWritten[] = [];

  constructor(m: Machine, pages: Pages, indexBits: number, rootLevel: number) {
    this.m = m;
    this.pages = pages;
    this.indexBits = indexBits;
    this.rootLevel = rootLevel;
    this.root = pages.allocNow(MIRROR_TABLE);
  }

  get fanout(): number {
    return 1 << this.indexBits;
  }

  /** How many GFNs an entry at `level` maps. */
  span(level: number): number {
    return 1 << (this.indexBits * level);
  }

  index(gfn: number, level: number): number {
    return (gfn >> (this.indexBits * level)) & (this.fanout - 1);
  }

  /** Word of a mirror table that names its external page. */
  private get externalWord(): number {
    return this.fanout;
  }

  /** Allocates a mirror table with the external page it will stand for; NO_PAGE when either fails. */
  *allocTable(): Steps<PageRef> {
    const external = yield* this.pages.alloc(SEPT_PAGE);
    if (external === NO_PAGE) return NO_PAGE;
    const table = yield* this.pages.alloc(MIRROR_TABLE);
    if (table === NO_PAGE) {
      yield* this.pages.free(external);
      return NO_PAGE;
    }
    this.m.poke(this.pages.word(table, this.externalWord), external + 1);
    return table;
  }

  /** The external page of a mirror table. */
  externalOf(table: PageRef): PageRef {
    this.pages.touch(table);
    return this.m.peek(this.pages.word(table, this.externalWord)) - 1;
  }

  *read(table: PageRef, index: number): Steps<Spte> {
    return yield* this.pages.readAt(table, index);
  }

  *write(table: PageRef, index: number, value: Spte): Steps<Spte> {
    const before = yield* this.pages.xchgAt(table, index, value);
    for (const listener of this.listeners) listener(table, index, before, value);
    return before;
  }

  *cmpxchg(table: PageRef, index: number, expected: Spte, value: Spte): Steps<boolean> {
    const done = yield* this.pages.cmpxchgAt(table, index, expected, value);
    if (done) for (const listener of this.listeners) listener(table, index, expected, value);
    return done;
  }

  /** Walks from the root towards `level`, as far as tables go. */
  *walk(gfn: number, level: number): Steps<SptePlace> {
    let table = this.root;
    for (let at = this.rootLevel; ; at--) {
      const index = this.index(gfn, at);
      const spte = yield* this.read(table, index);
      if (at <= level || kindOfSpte(spte) !== TABLE) return { table, index, level: at, spte };
      table = pageOfSpte(spte);
    }
  }
}
