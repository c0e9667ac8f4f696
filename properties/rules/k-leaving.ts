/** K47 and K48: how pages and tables leave a TD that may still run. */
import type { Vm } from '../../impl/vm/vm.ts';
import { FROZEN, isPresent, kindOfSpte, LEAF, TABLE, type Spte } from '../../spec/kvm/spte.ts';
import type { PageRef } from '../../spec/machine/pages.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { describeEntry, FREE, isTable, NL_BLOCKED, stateOf } from '../../spec/tdx/entry.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import {
  isAlive,
  keyOf,
  keyOfCall,
  keyOfPlace,
  nameOfKey,
  septAt,
  UNREACHED,
  type Key,
} from './state/entries.ts';
import { Debts, heldAs, holdsForWrite } from './state/pending.ts';

const K47: VmRule = {
  id: 'K47',
  level: 'required',
  statement:
    'A page that leaves the mirror has left the Secure EPT before mmu_lock, held for write, is released.',
  source:
    'KVM rules K47; Linux 6.14, tdp_mmu.c: tdp_mmu_set_spte(), remove_external_spte() (may not fail)',
  versions: ['*'],
  watch: (vm, report) => {
    const debts = new Debts(vm);
    vm.mirror.listeners.push((table, index, before, after) => {
      thawed(vm, debts, table, index, before, after);
      if (kindOfSpte(before) !== LEAF || isPresent(after)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      if (isThere(vm, key)) debts.owe(key);
    });
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.name !== 'TDH.MEM.PAGE.REMOVE' || holdsForWrite(vm)) return;
        report.violated(
          `mmu_lock held for write where page ${nameOfKey(keyOfCall(call))} is removed`,
          heldAs(vm),
        );
      },
      ended: (call, status) => {
        if (call.name === 'TDH.MEM.PAGE.REMOVE' && status === SUCCESS)
          debts.settle(keyOfCall(call));
      },
    });
    debts.dueAtRelease((entry, key) => {
      const left = septAt(vm, Math.floor(key / 8), key % 8);
      report.violated(
        `page ${entry}, which the mirror has lost, removed before mmu_lock is released`,
        left === UNREACHED ? 'out of reach' : describeEntry(left),
      );
    });
  },
};

/**
 * An entry that was FROZEN and is present again, as what it was or resized, has not left: K44 asks
 * whether that is so.
 */
function thawed(
  vm: Vm,
  debts: Debts,
  table: PageRef,
  index: number,
  before: Spte,
  after: Spte,
): void {
  if (before === FROZEN && isPresent(after)) debts.settle(keyOfPlace(vm, table, index));
}

/** The Secure EPT still has something at an entry. */
function isThere(vm: Vm, key: Key): boolean {
  const entry = septAt(vm, Math.floor(key / 8), key % 8);
  return entry !== UNREACHED && stateOf(entry) !== FREE;
}

/** Calls of the host about an entry. */
const ABOUT_ENTRY = /^TDH\.MEM\.(SEPT|PAGE|RANGE)\./;

const K48: VmRule = {
  id: 'K48',
  level: 'required',
  statement:
    'A table leaves a TD that may run bottom-up: emptied while it is mapped, then blocked and removed, ' +
    'all before mmu_lock, held for write, is released.',
  source:
    'KVM rules K48; Linux 6.14, tdp_mmu.c: handle_removed_pt(); thread, messages 11 to 16; module notes §2 (walk)',
  versions: ['*'],
  watch: (vm, report) => {
    const debts = new Debts(vm);
    vm.mirror.listeners.push((table, index, before, after) => {
      thawed(vm, debts, table, index, before, after);
      if (kindOfSpte(before) !== TABLE || isPresent(after) || !isAlive(vm)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      if (isThere(vm, key)) debts.owe(key);
    });
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.in.vcpu >= 0 || !ABOUT_ENTRY.test(call.name) || !isAlive(vm)) return;
        const wrong = whatIsWrong(vm, call);
        if (wrong !== null) report.violated(...wrong);
      },
      ended: (call, status) => {
        if (call.name === 'TDH.MEM.SEPT.REMOVE' && status === SUCCESS)
          debts.settle(keyOfCall(call));
      },
    });
    debts.dueAtRelease((entry) =>
      report.violated(
        `table ${entry}, which the mirror has lost, removed before mmu_lock is released`,
        'it is left to somebody else',
      ),
    );
  },
};

/** What a call finds that it should not: [expected, seen], or null. */
function whatIsWrong(vm: Vm, call: Call): [string, string] | null {
  const key = keyOfCall(call);
  const [gfn, level] = [Math.floor(key / 8), key % 8];
  for (let above = level + 1; above <= vm.mirror.rootLevel; above++) {
    const parent = septAt(vm, gfn, above);
    if (parent === UNREACHED || stateOf(parent) !== NL_BLOCKED) continue;
    const name = nameOfKey(keyOf(vm.mirror.align(gfn, above), above));
    return [
      `table ${name} mapped where ${call.name} is about ${nameOfKey(key)} below it`,
      describeEntry(parent),
    ];
  }
  const entry = septAt(vm, gfn, level);
  if (entry === UNREACHED || !isTable(entry) || !TAKES_TABLE.has(call.name)) return null;
  if (!holdsForWrite(vm))
    return [`mmu_lock held for write where table ${nameOfKey(key)} is taken away`, heldAs(vm)];
  if (call.name !== 'TDH.MEM.SEPT.REMOVE') return null;
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const at = gfn + i * vm.mirror.span(level - 1);
    const child = septAt(vm, at, level - 1);
    if (child !== UNREACHED && stateOf(child) !== FREE) {
      return [
        `table ${nameOfKey(key)} empty before it is removed`,
        `${nameOfKey(keyOf(at, level - 1))} is ` + describeEntry(child),
      ];
    }
  }
  return null;
}

const TAKES_TABLE: ReadonlySet<string> = new Set(['TDH.MEM.RANGE.BLOCK', 'TDH.MEM.SEPT.REMOVE']);

export const LEAVING_RULES: readonly VmRule[] = [K47, K48];
export default LEAVING_RULES;
