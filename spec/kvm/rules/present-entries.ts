/** Searches below a root, within the current step. */
import { NO_PAGE, type PageRef } from '../../machine/pages.ts';
import type { Kvm } from '../kvm.ts';
import { isLeafSpte, isPresent, kindOfSpte, pageOfSpte, TABLE, type Spte } from '../spte.ts';

type Visitor = (spte: Spte, gfn: number, level: number, table: PageRef) => boolean;

/** Visits every present entry below a root; stops when the visitor returns true. */
export function findEntry(kvm: Kvm, root: PageRef, found: Visitor): boolean {
  return root !== NO_PAGE && findBelow(kvm, root, found);
}

function findBelow(kvm: Kvm, table: PageRef, found: Visitor): boolean {
  const { tables, m } = kvm;
  const level = tables.levelOf(table);
  for (let i = 0; i < tables.fanout; i++) {
    const spte = m.peek(tables.pages.word(table, i));
    if (!isPresent(spte)) continue;
    if (found(spte, tables.gfnOf(table, i), level, table)) return true;
    if (kindOfSpte(spte) === TABLE && level > 0 && findBelow(kvm, pageOfSpte(spte), found))
      return true;
  }
  return false;
}

/** The leaf through which `gfn` is mapped under a root, or 0. */
export function leafAt(kvm: Kvm, root: PageRef, gfn: number): Spte {
  let leaf = 0;
  findEntry(kvm, root, (spte, first, level) => {
    if (!isLeafSpte(spte) || gfn < first || gfn >= first + kvm.tables.span(level)) return false;
    leaf = spte;
    return true;
  });
  return leaf;
}
