/** What several K rules remember of a run besides its state. */
import type { Machine } from '../../machine/machine.ts';
import { NO_PAGE, pageNumberOf, type PageRef } from '../../machine/pages.ts';
import type { Fault, Kvm } from '../kvm.ts';
import { NO_MEMSLOT } from '../memslots.ts';
import { isLeafSpte, isPresent, kindOfSpte, pageOfSpte, TABLE, type Spte } from '../spte.ts';
import { LINKED, type Tables } from '../tables.ts';

/** The fault that each actor is taking, if any. */
export class Faults {
  private readonly m: Machine;
  private readonly faults: (Fault | null)[] = [];

  constructor(kvm: Kvm) {
    this.m = kvm.m;
    kvm.m.onReset(() => {
      if (this.faults.length > 0) this.faults.length = 0;
    });
    kvm.listeners.push({
      faultBegan: (_vcpu, fault) => {
        this.faults[kvm.m.current] = fault;
      },
      faultEnded: () => {
        this.faults[kvm.m.current] = null;
      },
    });
  }

  /** That of the current actor. */
  get mine(): Fault | null {
    return this.faults[this.m.current] ?? null;
  }
}

/** Somebody other than its maker can reach the table. */
export const isShared = (tables: Tables, table: PageRef): boolean =>
  tables.stageOf(table) >= LINKED || tables.levelOf(table) === tables.rootLevel;

export const isRoot = (tables: Tables, table: PageRef): boolean =>
  tables.levelOf(table) === tables.rootLevel;

/** The GFNs that an entry maps, as bits: the modelled guest has fewer than 31. */
export function gfnBits(tables: Tables, table: PageRef, index: number): number {
  return rangeBits(tables.gfnOf(table, index), tables.span(tables.levelOf(table)));
}

const bitsBelow = (n: number): number => (n >= 31 ? 0x7fff_ffff : (1 << Math.max(0, n)) - 1);

export const rangeBits = (gfn: number, pages: number): number =>
  bitsBelow(gfn + pages) & ~bitsBelow(gfn);

/** `GFN 3`, `GFNs 2 and 3`: the GFNs of a set of bits. */
export function namesOf(bits: number): string {
  const gfns = Array.from({ length: 31 }, (_, i) => i).filter((i) => (bits & (1 << i)) !== 0);
  return `${gfns.length === 1 ? 'GFN' : 'GFNs'} ${gfns.join(', ')}`;
}

/**
 * Visits every present entry below a root, within the current step; stops when the visitor answers
 * true.
 */
export function findEntry(
  kvm: Kvm,
  root: PageRef,
  found: (spte: Spte, gfn: number, level: number, table: PageRef) => boolean,
): boolean {
  return root !== NO_PAGE && findBelow(kvm, root, found);
}

function findBelow(
  kvm: Kvm,
  table: PageRef,
  found: (spte: Spte, gfn: number, level: number, table: PageRef) => boolean,
): boolean {
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

/** `p26`: a table as reports name it. */
export const tableName = (table: PageRef): string => `p${pageNumberOf(table)}`;

/** The page backs the GFN now, as shared or as private memory. */
export function backsGfn(
  { attributes, primary, slots }: Kvm,
  asId: number,
  gfn: number,
  page: number,
): boolean {
  const slot = slots.find(asId, gfn);
  if (slot === NO_MEMSLOT) return false;
  return (
    primary.backs(page, slots.hvaOf(slot, gfn)) ||
    (asId === 0 && attributes.memory.backs(page, gfn))
  );
}

/** Level at which the host maps what a leaf's page is part of. */
export function hostLevel(
  { attributes, primary, slots }: Kvm,
  asId: number,
  gfn: number,
  page: number,
): number {
  const slot = slots.find(asId, gfn);
  if (asId === 0 && attributes.memory.backs(page, gfn)) return attributes.memory.levelOf(gfn);
  return slot === NO_MEMSLOT ? 0 : primary.levelOf(slots.hvaOf(slot, gfn));
}
