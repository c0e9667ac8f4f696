/**
 * The list of tables that exist only because huge pages may not be executable (the iTLB multihit
 * mitigation). A worker takes them back, so that what they map can be huge again. Two words of a
 * table belong to it: whether the table is one of those, set before the table is linked, and its
 * place in the list. Source: K14, K18; Linux, arch/x86/kvm/mmu/tdp_mmu.c (kvm_tdp_mmu_map,
 * tdp_mmu_unlink_sp).
 */
import type { Cell } from '../machine/machine.ts';
import type { PageRef } from '../machine/pages.ts';
import { READ, WRITE, type Steps, access } from '../machine/step.ts';
import { NX_DISALLOWED, NX_NEXT, type Tables } from './tables.ts';

/** In the list, as the last one: there is no next. */
const LAST = -1;

/** Events of the list. */
export interface NxListener {
  /** Somebody has looked whether a table is marked. */
  asked?(table: PageRef): void;
  added?(table: PageRef): void;
  removed?(table: PageRef): void;
  /** A table that is in no list was taken out of it. */
  removedInVain?(table: PageRef): void;
  /** The worker has chosen a table to take back, and is done with it. */
  recovering?(table: PageRef): void;
  recovered?(table: PageRef): void;
}

/** The list of possible NX huge pages. */
export class NxList {
  readonly listeners: NxListener[] = [];
  private readonly tables: Tables;
  private readonly head: Cell;

  constructor(tables: Tables) {
    this.tables = tables;
    this.head = tables.m.record('possible_nx_huge_pages');
  }

  /** Marks a table that is not linked yet as one that stands for a huge page, in one step. */
  *disallow(table: PageRef): Steps<void> {
    yield* this.tables.m.write(this.tables.word(table, NX_DISALLOWED), 1);
  }

  /** Whether the mark is set, in one step. */
  *isDisallowed(table: PageRef): Steps<boolean> {
    const mark = yield* this.tables.m.read(this.tables.word(table, NX_DISALLOWED));
    for (const listener of this.listeners) listener.asked?.(table);
    return mark !== 0;
  }

  /** {@link isDisallowed} within the current step. */
  isMarked(table: PageRef): boolean {
    return this.tables.peekWord(table, NX_DISALLOWED) !== 0;
  }

  /** Clears the mark, in one step; under tdp_mmu_pages_lock. */
  *allow(table: PageRef): Steps<void> {
    yield* this.tables.m.write(this.tables.word(table, NX_DISALLOWED), 0);
  }

  isListed(table: PageRef): boolean {
    return this.tables.peekWord(table, NX_NEXT) !== 0;
  }

  /** The tables in the list, within the current step. */
  all(): PageRef[] {
    const tables: PageRef[] = [];
    const { m } = this.tables;
    for (let at = m.peek(this.head); at > 0; at = this.tables.peekWord(at - 1, NX_NEXT))
      tables.push(at - 1);
    return tables;
  }

  /** The first table of the list, in one step; or -1. Whoever goes on with it touches it. */
  *first(): Steps<PageRef> {
    yield access(this.head, READ);
    const table = this.tables.m.peek(this.head) - 1;
    if (table >= 0) this.tables.pages.touch(table);
    return table;
  }

  /** Puts a table into the list, in one step; under tdp_mmu_pages_lock. */
  *add(table: PageRef): Steps<void> {
    yield access(this.head, WRITE);
    const { m } = this.tables;
    for (const listener of this.listeners) listener.added?.(table);
    const next = m.peek(this.head);
    m.poke(this.tables.word(table, NX_NEXT), next === 0 ? LAST : next);
    m.poke(this.head, table + 1);
  }

  /** Takes a table out of the list, in one step; under tdp_mmu_pages_lock. */
  *remove(table: PageRef): Steps<void> {
    yield access(this.head, WRITE);
    const { m } = this.tables;
    if (!this.isListed(table)) {
      for (const listener of this.listeners) listener.removedInVain?.(table);
      return;
    }
    const next = Math.max(0, this.tables.peekWord(table, NX_NEXT));
    const before = this.all().find((other) => this.tables.peekWord(other, NX_NEXT) === table + 1);
    if (before === undefined) m.poke(this.head, next);
    else m.poke(this.tables.word(before, NX_NEXT), next === 0 ? LAST : next);
    m.poke(this.tables.word(table, NX_NEXT), 0);
    for (const listener of this.listeners) listener.removed?.(table);
  }

  /** The worker has chosen `table`; rules are told. */
  recovering(table: PageRef): void {
    for (const listener of this.listeners) listener.recovering?.(table);
  }

  /** The worker is done with `table`. */
  recovered(table: PageRef): void {
    for (const listener of this.listeners) listener.recovered?.(table);
  }
}
