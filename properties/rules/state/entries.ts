/** Entries of the mirror and of the Secure EPT as they are now. Reading them takes no step. */
import type { Vm } from '../../../impl/vm/vm.ts';
import {
  describeSpte,
  EMPTY,
  kindOfSpte,
  LEAF,
  pageOfSpte,
  TABLE,
  type Spte,
} from '../../../spec/kvm/spte.ts';
import { pageNumberOf, type PageRef } from '../../../spec/machine/pages.ts';
import {
  describeEntry,
  FREE,
  isLeaf,
  isTable,
  isWalkable,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  stateOf,
  withoutLocks,
  type Entry,
} from '../../../spec/tdx/entry.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { gfnOfKey, levelOfKey, type Key } from './entry-keys.ts';

/** No entry: the walk ends above the level. */
export const UNREACHED = -1;

/** The mirror's entry for `gfn` at `level`, or UNREACHED. */
export function spteAt(vm: Vm, gfn: number, level: number): Spte | typeof UNREACHED {
  const { mirror, m } = vm;
  let table = mirror.root;
  for (let at = mirror.rootLevel; ; at--) {
    const spte = m.peek(vm.pages.word(table, mirror.index(gfn, at)));
    if (at === level) return spte;
    if (kindOfSpte(spte) !== TABLE) return UNREACHED;
    table = pageOfSpte(spte);
  }
}

/** The mirror's entry where a walk for `gfn` ends, if it is a leaf; otherwise EMPTY. */
export function mirrorLeaf(vm: Vm, gfn: number): Spte {
  let table = vm.mirror.root;
  for (let level = vm.mirror.rootLevel; level >= 0; level--) {
    const spte = vm.m.peek(vm.pages.word(table, vm.mirror.index(gfn, level)));
    if (kindOfSpte(spte) === LEAF) return spte;
    if (kindOfSpte(spte) !== TABLE) return EMPTY;
    table = pageOfSpte(spte);
  }
  return EMPTY;
}

/** The mirror's tree reaches the table: it is neither still being filled nor already pruned. */
export function isLinked(vm: Vm, table: PageRef): boolean {
  if (table === vm.mirror.root) return true;
  const parent = spteAt(vm, vm.mirror.gfnOf(table, 0), vm.mirror.levelOf(table) + 1);
  return parent !== UNREACHED && kindOfSpte(parent) === TABLE && pageOfSpte(parent) === table;
}

/**
 * The Secure EPT's entry for `gfn` at `level` without its lock bits, or UNREACHED. The walk passes
 * through blocked tables.
 */
export function septAt(vm: Vm, gfn: number, level: number): Entry | typeof UNREACHED {
  const { m, memory, tdx, mirror } = vm;
  let table = m.peek(memory.word(vm.tdr, TD.SEPT_ROOT));
  for (let at = mirror.rootLevel; ; at--) {
    const entry = withoutLocks(m.peek(memory.word(table, tdx.geometry.index(gfn, at))));
    if (at === level) return entry;
    if (!isWalkable(entry) && stateOf(entry) !== NL_BLOCKED) return UNREACHED;
    table = pageOf(entry);
  }
}

/** The Secure EPT has a page or a table at the entry, in whatever state. */
export function isInSept(vm: Vm, key: Key): boolean {
  const entry = septAt(vm, gfnOfKey(key), levelOfKey(key));
  return entry !== UNREACHED && stateOf(entry) !== FREE;
}

/** The Secure EPT has a leaf for `gfn`, usable by the guest or not. */
export function hasSeptLeaf(vm: Vm, gfn: number): boolean {
  let table = vm.m.peek(vm.memory.word(vm.tdr, TD.SEPT_ROOT));
  for (let level = vm.mirror.rootLevel; level >= 0; level--) {
    const entry: Entry = vm.m.peek(vm.memory.word(table, vm.mirror.index(gfn, level)));
    if (isLeaf(entry)) return true;
    if (!isTable(entry)) return false;
    table = pageOf(entry);
  }
  return false;
}

/** A mirror entry and its twin in the Secure EPT have the same page or table, or both nothing. */
export function agrees(vm: Vm, spte: Spte, entry: Entry | typeof UNREACHED): boolean {
  if (entry === UNREACHED) return spte === EMPTY;
  const state = stateOf(entry);
  if (spte === EMPTY) return state === FREE;
  if (kindOfSpte(spte) === LEAF)
    return (state === MAPPED || state === PENDING) && pageOf(entry) === pageOfSpte(spte);
  if (kindOfSpte(spte) !== TABLE || state !== NL_MAPPED) return false;
  return pageNumberOf(vm.mirror.externalOf(pageOfSpte(spte))) === pageOf(entry);
}

/** A mirror entry in reports. */
export const describeMirror = (spte: Spte | typeof UNREACHED): string =>
  spte === UNREACHED ? 'no table' : describeSpte(spte);

/** An entry of the Secure EPT in reports. */
export const describeSept = (entry: Entry | typeof UNREACHED): string =>
  entry === UNREACHED ? 'no table' : describeEntry(entry);
