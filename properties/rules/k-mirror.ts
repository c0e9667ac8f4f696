/** K44 to K46, K49, and K2: how a mirror entry and its twin in the Secure EPT change together. */
import { K2_TEXT } from '../../spec/kvm/rules/k02-cmpxchg-under-read.ts';
import {
  describeSpte,
  FROZEN,
  isPresent,
  kindOfSpte,
  LEAF,
  pageOfSpte,
  TABLE,
} from '../../spec/kvm/spte.ts';
import { describeEntry, NL_MAPPED, stateOf } from '../../spec/tdx/entry.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import {
  agrees,
  describeMirror,
  isLinked,
  keyOf,
  keyOfCall,
  keyOfPlace,
  nameOfKey,
  septAt,
  spteAt,
  UNREACHED,
  type Key,
} from './state/entries.ts';
import { heldAs, holdsForWrite } from './state/pending.ts';

/** Calls that make an entry of the Secure EPT present. */
const ADDS: ReadonlySet<string> = new Set([
  'TDH.MEM.SEPT.ADD',
  'TDH.MEM.PAGE.AUG',
  'TDH.MEM.PAGE.ADD',
]);

const describeSept = (entry: number): string =>
  entry === UNREACHED ? 'no table' : describeEntry(entry);

const K44: VmRule = {
  id: 'K44',
  level: 'required',
  statement:
    'A mirror entry becomes present after the module made the same change, ' +
    'asked by who had frozen it or holds mmu_lock for write.',
  source: 'KVM rules K44; Linux 6.14, tdp_mmu.c: set_external_spte_present(); thread, message 3',
  versions: ['*'],
  watch: (vm, report) => {
    /** Who froze an entry. */
    const frozenBy = new Map<Key, number>();
    vm.m.clearOnReset(frozenBy);
    vm.mirror.listeners.push((table, index, before, after) => {
      if (after === FROZEN) frozenBy.set(keyOfPlace(vm, table, index), vm.m.current);
      if (!isPresent(after) || isPresent(before) || !isLinked(vm, table)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      const entry = septAt(vm, Math.floor(key / 8), key % 8);
      if (agrees(vm, after, entry)) return;
      report.violated(
        `the Secure EPT has entry ${nameOfKey(key)} when the mirror does, ${describeSpte(after)}`,
        describeSept(entry),
      );
    });
    vm.tdx.listeners.push({
      began: (call) => {
        if (!ADDS.has(call.name) || holdsForWrite(vm)) return;
        const key = keyOfCall(call);
        const spte = spteAt(vm, Math.floor(key / 8), key % 8);
        if (spte === FROZEN && frozenBy.get(key) === vm.m.current) return;
        report.violated(
          `mirror entry ${nameOfKey(key)} frozen by who calls ${call.name}`,
          describeMirror(spte),
        );
      },
    });
  },
};

const K45: VmRule = {
  id: 'K45',
  level: 'required',
  statement: 'The module is asked for an entry only after it has the table that the entry is in.',
  source: 'KVM rules K45; thread, message 10 (a child overtakes its parent)',
  versions: ['*'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: (call) => {
        if (!ADDS.has(call.name)) return;
        const key = keyOfCall(call);
        const [gfn, level] = [Math.floor(key / 8), key % 8];
        if (level === vm.mirror.rootLevel) return;
        report.exercised();
        const parent = septAt(vm, gfn, level + 1);
        if (parent !== UNREACHED && stateOf(parent) === NL_MAPPED) return;
        const above = nameOfKey(keyOf(vm.mirror.align(gfn, level + 1), level + 1));
        report.violated(
          `a table at ${above} before ${call.name} of ${nameOfKey(key)}`,
          describeSept(parent),
        );
      },
    });
  },
};

const K46: VmRule = {
  id: 'K46',
  level: 'required',
  statement: 'A present mirror entry is changed only with mmu_lock held for write.',
  source: 'KVM rules K46; Linux 6.14, tdp_mmu.c: __tdp_mmu_set_spte_atomic(); thread, message 9',
  versions: ['*'],
  watch: (vm, report) => {
    vm.mirror.listeners.push((table, index, before, after) => {
      if (!isPresent(before)) return;
      report.exercised();
      if (holdsForWrite(vm)) return;
      const name = nameOfKey(keyOfPlace(vm, table, index));
      report.violated(
        `mmu_lock held for write where mirror entry ${name} becomes ${describeSpte(after)}`,
        heldAs(vm),
      );
    });
  },
};

/**
 * The same rule about the mirror, whose entries change by way of FROZEN: here it is the second half
 * that matters.
 */
const K2_OF_TDS: VmRule = {
  ...K2_TEXT,
  level: 'stochastic',
  watch: (vm, report) => {
    /** By actor: the entry at which it lost, as a cell, until it reads it. */
    const lostAt = new Map<number, number>();
    vm.m.clearOnReset(lostAt);
    vm.mirror.losers.push((table, index) => {
      report.exercised();
      const cell = vm.pages.word(table, index);
      const name = nameOfKey(keyOfPlace(vm, table, index));
      if (lostAt.get(vm.m.current) === cell) {
        report.violated(
          `mirror entry ${name} read again before it is exchanged again`,
          'the old value is expected again',
        );
      }
      lostAt.set(vm.m.current, cell);
    });
    vm.mirror.readers.push((table, index) => {
      if (lostAt.size > 0 && lostAt.get(vm.m.current) === vm.pages.word(table, index))
        lostAt.delete(vm.m.current);
    });
  },
};

/** Which call turns a present mirror entry into another. */
const RESIZES: ReadonlyMap<string, number> = new Map([
  ['TDH.MEM.PAGE.DEMOTE', TABLE],
  ['TDH.MEM.PAGE.PROMOTE', LEAF],
]);

const K49: VmRule = {
  id: 'K49',
  level: 'required',
  statement:
    'A present mirror entry becomes another present one only after DEMOTE or PROMOTE has made that change.',
  source:
    'KVM rules K49; Linux 6.14, tdp_mmu.c: tdp_mmu_set_spte() (KVM_BUG_ON); huge page series v5, one hook',
  versions: ['*'],
  watch: (vm, report) => {
    /** What an entry has become in the Secure EPT, and the mirror does not say yet. */
    const resized = new Map<Key, number>();
    vm.m.clearOnReset(resized);
    vm.tdx.listeners.push({
      ended: (call, status) => {
        const kind = RESIZES.get(call.name);
        if (kind !== undefined && status === SUCCESS) resized.set(keyOfCall(call), kind);
      },
    });
    vm.mirror.listeners.push((table, index, before, after) => {
      if (!isPresent(before) || !isPresent(after) || !changes(before, after)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      if (resized.get(key) === kindOfSpte(after)) resized.delete(key);
      else
        report.violated(
          `the module has made ${nameOfKey(key)} a ${describeSpte(after)} first`,
          'it was not asked',
        );
    });
  },
};

/** Does another table, or another page, come into an entry? */
const changes = (before: number, after: number): boolean =>
  kindOfSpte(before) !== kindOfSpte(after) || pageOfSpte(before) !== pageOfSpte(after);

export const MIRROR_RULES: readonly VmRule[] = [K44, K45, K46, K49, K2_OF_TDS];
export default MIRROR_RULES;
