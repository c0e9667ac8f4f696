/**
 * The list of tables that exist only because huge pages may not be executable (the iTLB multihit
 * mitigation). A worker zaps them, so that huge pages can return. Two words of a table belong to
 * the list: the mark that the table is of that kind, set before the table is linked, and the next
 * table in the list. Source: Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_map(),
 * tdp_mmu_unlink_sp(); K14, K18.
 */
import type { Cell } from '../machine/machine.ts';
import type { PageRef } from '../machine/pages.ts';
import { READ, WRITE, type Steps, access } from '../machine/step.ts';
import { NX_DISALLOWED, NX_NEXT, type Tables } from './tables.ts';

/** Next table of the last one in the list. */
const LAST = -1;

/** Events of the list. */
export interface NxListener {
  /** An actor has read a table's mark. */
  asked?(table: PageRef): void;
  added?(table: PageRef): void;
  removed?(table: PageRef): void;
  /** A table was to be removed, and is not in the list. */
  removedUnlisted?(table: PageRef): void;
  /** The worker has chosen a table to zap; it has finished with it. */
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

  /** Sets the mark of a table that is not linked yet, in one step. */
  *disallow(table: PageRef): Steps<void> {
    yield* this.tables.m.write(this.tables.word(table, NX_DISALLOWED), 1);
  }

  /** Reads the mark, in one step. */
  *isDisallowed(table: PageRef): Steps<boolean> {
    const mark = yield* this.tables.m.read(this.tables.word(table, NX_DISALLOWED));
    for (const listener of this.listeners) listener.asked?.(table);
    return mark !== 0;
  }

  /** {@link isDisallowed} within the current step. */
  isMarked(table: PageRef): boolean {
    return this.tables.peekWord(table, NX_DISALLOWED) !== 0;
  }

  /** Clears the mark, in one step. Under tdp_mmu_pages_lock. */
  *allow(table: PageRef): Steps<void> {
    yield* this.tables.m.write(this.tables.word(table, NX_DISALLOWED), 0);
  }

  isListed(table: PageRef): boolean {
    return this.tables.peekWord(table, NX_NEXT) !== 0;
  }

  /** Tables in the list, within the current step. */
  all(): PageRef[] {
    const tables: PageRef[] = [];
    const { m } = this.tables;
    for (let at = m.peek(this.head); at > 0; at = this.tables.peekWord(at - 1, NX_NEXT))
      tables.push(at - 1);
    return tables;
  }

  /** Reads the first table of the list and accesses it, in one step; -1 if the list is empty. */
  *first(): Steps<PageRef> {
    yield access(this.head, READ);
    const table = this.tables.m.peek(this.head) - 1;
    if (table >= 0) this.tables.pages.touch(table);
    return table;
  }

  /** Adds a table to the list, in one step. Under tdp_mmu_pages_lock. */
  *add(table: PageRef): Steps<void> {
    yield access(this.head, WRITE);
    const { m } = this.tables;
    for (const listener of this.listeners) listener.added?.(table);
    const next = m.peek(this.head);
    m.poke(this.tables.word(table, NX_NEXT), next === 0 ? LAST : next);
    m.poke(this.head, table + 1);
  }

  /** Removes a table from the list, in one step. Under tdp_mmu_pages_lock. */
  *remove(table: PageRef): Steps<void> {
    yield access(this.head, WRITE);
    const { m } = this.tables;
    if (!this.isListed(table)) {
      for (const listener of this.listeners) listener.removedUnlisted?.(table);
      return;
    }
    const next = Math.max(0, this.tables.peekWord(table, NX_NEXT));
    const before = this.all().find((other) => this.tables.peekWord(other, NX_NEXT) === table + 1);
    if (before === undefined) m.poke(this.head, next);
    else m.poke(this.tables.word(before, NX_NEXT), next === 0 ? LAST : next);
    m.poke(this.tables.word(table, NX_NEXT), 0);
    for (const listener of this.listeners) listener.removed?.(table);
  }

  /** Reports that the worker has chosen `table`. */
  recovering(table: PageRef): void {
    for (const listener of this.listeners) listener.recovering?.(table);
  }

  /** Reports that the worker has finished with `table`. */
  recovered(table: PageRef): void {
    for (const listener of this.listeners) listener.recovered?.(table);
  }
}
