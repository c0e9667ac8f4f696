/**
 * What the rules about mirror and Secure EPT look at: the entry of either table for a GFN at a
 * level, as it is now.
 */
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
import { entryAt } from '../../../spec/machine/levels.ts';
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { pageNumberOf, type PageRef } from '../../../spec/machine/pages.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import {
  FREE,
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
import { KEYS_CONFIGURED, TD } from '../../../spec/tdx/td.ts';

/** A GFN and a level in one number. */
export type Key = number;
export const keyOf = (gfn: number, level: number): Key => gfn * 8 + level;
export const nameOfKey = (key: Key): string => entryAt(Math.floor(key / 8), key % 8);

/** The entry that a call's RCX names. */
export const keyOfCall = (call: Call): Key =>
  keyOf(Math.floor(call.in.rcx / PAGE_BYTES), call.in.rcx % 8);

/** The entry of a mirror table that a write is about. */
export const keyOfPlace = ({ mirror }: Vm, table: PageRef, index: number): Key =>
  keyOf(mirror.gfnOf(table, index), mirror.levelOf(table));

/** No entry: the walk ended above the level. */
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

/**
 * Does the mirror's tree reach this table? One that is being filled, or was pruned, is nobody's
 * concern.
 */
export function isLinked(vm: Vm, table: PageRef): boolean {
  if (table === vm.mirror.root) return true;
  const parent = spteAt(vm, vm.mirror.gfnOf(table, 0), vm.mirror.levelOf(table) + 1);
  return parent !== UNREACHED && kindOfSpte(parent) === TABLE && pageOfSpte(parent) === table;
}

/**
 * The Secure EPT's entry for `gfn` at `level` without its locks, or UNREACHED; blocked tables are
 * walked through.
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

/** Does the Secure EPT have what a mirror entry says? */
export function agrees(vm: Vm, spte: Spte, entry: Entry | typeof UNREACHED): boolean {
  if (entry === UNREACHED) return spte === EMPTY;
  const state = stateOf(entry);
  if (spte === EMPTY) return state === FREE;
  if (kindOfSpte(spte) === LEAF)
    return (state === MAPPED || state === PENDING) && pageOf(entry) === pageOfSpte(spte);
  if (kindOfSpte(spte) !== TABLE || state !== NL_MAPPED) return false;
  return pageNumberOf(vm.mirror.externalOf(pageOfSpte(spte))) === pageOf(entry);
}

/** The TD may still run: its HKID has not been released. */
export const isAlive = (vm: Vm): boolean =>
  vm.m.peek(vm.memory.word(vm.tdr, TD.LIFECYCLE)) === KEYS_CONFIGURED;

/** What mirror and entry are called in reports. */
export const describeMirror = (spte: Spte | typeof UNREACHED): string =>
  spte === UNREACHED ? 'no table' : describeSpte(spte);
