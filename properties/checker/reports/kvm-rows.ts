/** Rows of the timeline of an ordinary VM: changes of KVM's tables, and what guest and host do. */
import type { Kvm } from '../../../spec/kvm/kvm.ts';
import { LOG_DIRTY } from '../../../spec/kvm/memslots.ts';
import {
  describeSpte,
  isLeafSpte,
  isPresent,
  kindOfSpte,
  pageOfSpte,
  TABLE,
  type Spte,
} from '../../../spec/kvm/spte.ts';
import { LINKED } from '../../../spec/kvm/tables.ts';
import { entryAt } from '../../../spec/machine/levels.ts';
import { NO_PAGE, pageNumberOf, type PageRef } from '../../../spec/machine/pages.ts';

/** Adds a row: what was done, names of what it changed, names of what it depends on. */
type AddRow = (text: string, writes: readonly string[], reads: readonly string[]) => void;

/** Adds a row for each visible action in `kvm`. */
export function watchKvm(kvm: Kvm, add: AddRow): void {
  watchTables(kvm, add);
  watchGuest(kvm, add);
  watchInvalidations(kvm, add);
  watchSlots(kvm, add);
  watchRoots(kvm, add);
}

function watchTables(kvm: Kvm, add: AddRow): void {
  const { tables } = kvm;
  const nameOf = (table: PageRef, index: number): string =>
    entryName(kvm, tables.rootOf(table), tables.gfnOf(table, index), tables.levelOf(table));

  tables.listeners.push((table, index, before, after) => {
    // a table is filled before it is linked
    if (table !== tables.rootOf(table) && !isReachable(kvm, table) && isPresent(after)) return;
    const name = nameOf(table, index);
    const pages = [before, after].filter(isPresent).map((spte) => targetName(spte));
    add(
      `${name.replace('entry ', '')}: ${shortSpte(before)} -> ${shortSpte(after)}`,
      [name, ...pages],
      [name, ...pages],
    );
  });
  kvm.shadow.tables.listeners.push((_table, index, before, after) => {
    add(
      `shadow entry ${index}: ${shortSpte(before)} -> ${shortSpte(after)}`,
      [`shadow ${index}`],
      [`shadow ${index}`],
    );
  });
}

function watchGuest(kvm: Kvm, add: AddRow): void {
  const { tables } = kvm;
  /** The root with which each vCPU last entered the guest. */
  const running: PageRef[] = [];
  kvm.listeners.push({
    accessed: (vcpu, asId, gfn, page, _value, written) => {
      const root = running[vcpu] ?? NO_PAGE;
      const above = [0, 1, 2].map((level) => entryName(kvm, root, tables.align(gfn, level), level));
      const space = asId === 0 ? '' : ' in SMM';
      add(
        `${written === null ? 'uses' : 'writes'} GFN ${gfn}${space} at page ${page}`,
        [`page ${page}`, `tlb ${gfn}`, ...above],
        [`page ${page}`, ...above],
      );
    },
    hostUsed: (page) => add(`the host uses page ${page}`, [`page ${page}`], [`page ${page}`]),
    flushed: (gfn, pages) => add(`flush ${range(gfn, pages)}`, gfns('tlb', gfn, pages), []),
    yielding: (walk) => add(`yields mmu_lock at GFN ${walk.nextGfn}`, [], []),
    promised: (what, asId, gfn, pages) =>
      add(`${what} of ${range(gfn, pages)}${asId === 0 ? '' : ' in SMM'} begins`, [], []),
    kept: (what, _asId, gfn, pages) => add(`${what} of ${range(gfn, pages)} is done`, [], []),
    entered: (vcpu, root) => {
      running[vcpu] = root;
      add(
        `enters the guest with root ${name(root)}`,
        [`root ${name(root)}`, `loaded ${vcpu}`],
        [`root ${name(root)}`],
      );
    },
  });
}

function watchInvalidations(kvm: Kvm, add: AddRow): void {
  kvm.primary.listeners.push({
    got: (page) => add(`gets page ${page}`, [`ref ${page}`], [`page ${page}`]),
    released: (hva, page) =>
      add(`the host reclaims page ${page}`, [`page ${page}`, `hva ${hva}`], [`page ${page}`]),
  });
  kvm.invalidation.listeners.push({
    sampled: () => add('samples mmu_invalidate_seq', [], ['seq']),
    began: (gfn, pages) => add(`invalidation of ${range(gfn, pages)} begins`, ['seq'], []),
    ended: () => add('invalidation ends', ['seq'], []),
  });
}

function watchSlots(kvm: Kvm, add: AddRow): void {
  kvm.slots.listeners.push({
    installed: (slot, state, flags) => {
      const logged = (flags & LOG_DIRTY) === 0 ? '' : ', logged';
      add(`slot ${slot} ${['absent', 'valid', 'INVALID'][state]}${logged}`, [`slot ${slot}`], []);
    },
    marked: (_slot, gfn) => add(`marks GFN ${gfn} dirty`, [`dirty ${gfn}`], []),
    taken: (_slot, gfn) =>
      add(`clears GFN ${gfn} in the dirty log`, [`dirty ${gfn}`], [`dirty ${gfn}`]),
    freeing: (slot) => add(`frees slot ${slot}`, [`slot ${slot}`], []),
  });
}

function watchRoots(kvm: Kvm, add: AddRow): void {
  kvm.roots.listeners.push({
    linked: (root) => add(`new root ${name(root)}`, [`root ${name(root)}`], []),
    invalidated: (root) => add(`root ${name(root)} becomes invalid`, [`root ${name(root)}`], []),
    unlinked: (root) =>
      add(`root ${name(root)} leaves the list`, [`root ${name(root)}`], [`root ${name(root)}`]),
  });
  kvm.nx.listeners.push({
    added: (table) => add(`table ${name(table)} enters the NX list`, [`table ${name(table)}`], []),
    removed: (table) =>
      add(`table ${name(table)} leaves the NX list`, [`table ${name(table)}`], []),
    recovering: (table) => add(`recovers table ${name(table)}`, [], [`table ${name(table)}`]),
  });
  kvm.pages.onFree.push((page) =>
    add(
      `frees ${name(page)}`,
      [`table ${name(page)}`, `root ${name(page)}`],
      [`table ${name(page)}`],
    ),
  );
}

const name = (ref: PageRef): string => (ref < 0 ? 'none' : `p${pageNumberOf(ref)}`);
const targetName = (spte: Spte): string =>
  kindOfSpte(spte) === TABLE ? `table ${name(pageOfSpte(spte))}` : `page ${pageOfSpte(spte)}`;
const range = (gfn: number, pages: number): string =>
  pages === 1 ? `GFN ${gfn}` : `GFNs ${gfn} to ${gfn + pages - 1}`;
const gfns = (what: string, gfn: number, pages: number): string[] =>
  Array.from({ length: Math.min(pages, 8) }, (_, i) => `${what} ${gfn + i}`);
const entryName = (kvm: Kvm, root: PageRef, gfn: number, level: number): string =>
  `entry ${name(root)} ${entryAt(kvm.tables.align(gfn, level), level)}`;

/** An entry above points to the table. */
function isReachable(kvm: Kvm, table: PageRef): boolean {
  return kvm.tables.stageOf(table) === LINKED;
}

/** An SPTE, e.g. `leaf p48 -mhxa-` or `table p26`. */
const shortSpte = (spte: Spte): string => {
  const text = describeSpte(spte).replace(/ 0x[0-9a-f]+/, ` p${pageOfSpte(spte) & 0xfff}`);
  return isLeafSpte(spte) || isPresent(spte) ? text : text.replace(/ p0$/, '');
};
