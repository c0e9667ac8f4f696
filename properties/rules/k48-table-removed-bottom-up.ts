import type { Vm } from '../../impl/vm/vm.ts';
import { isPresent, kindOfSpte, TABLE } from '../../spec/kvm/spte.ts';
import type { Call } from '../../spec/tdx/call.ts';
import { describeEntry, FREE, isTable, NL_BLOCKED, stateOf } from '../../spec/tdx/entry.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { BLOCK } from './state/calls.ts';
import { isInSept, septAt, UNREACHED } from './state/entries.ts';
import {
  gfnOfCall,
  keyOf,
  keyOfCall,
  keyOfPlace,
  levelOfCall,
  nameOfKey,
} from './state/entry-keys.ts';
import { heldAs, holdsForWrite } from './state/mmu-lock.ts';
import { PendingEntries } from './state/pending-entries.ts';
import { isAlive } from './state/td-state.ts';

const REMOVE_TABLE = 'TDH.MEM.SEPT.REMOVE';

/** Calls of the host about an entry. */
const ABOUT_ENTRY = /^TDH\.MEM\.(SEPT|PAGE|RANGE)\./;

/** [expected, seen] */
type Wrong = readonly [string, string];

export default {
  id: 'K48',
  level: 'required',
  statement:
    'While a TD may run, its tables are removed bottom-up: emptied while mapped, then blocked ' +
    'and removed, all before mmu_lock, held for write, is released.',
  source:
    'Linux 6.14, tdp_mmu.c: handle_removed_pt(); thread, messages 11 to 16; ' +
    'docs/module-notes.md#walks',
  intent: 'Under a blocked table the module finds no child: pages there can no longer be removed.',
  hint:
    'Check the order of the removal: leaves first, then BLOCK and SEPT.REMOVE of their table, ' +
    'all under mmu_lock held for write and not in an RCU callback.',
  versions: ['*'],
  watch: (vm, report) => {
    const pending = new PendingEntries(vm);
    vm.mirror.listeners.push((table, index, before, after) => {
      pending.finishThawed(table, index, before, after);
      if (kindOfSpte(before) !== TABLE || isPresent(after) || !isAlive(vm)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      if (isInSept(vm, key)) pending.begin(key);
    });
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.in.vcpu >= 0 || !ABOUT_ENTRY.test(call.name) || !isAlive(vm)) return;
        const wrong = blockedAbove(vm, call) ?? removedTooEarly(vm, call);
        if (wrong !== null) report.violated(...wrong);
      },
      ended: (call, status) => {
        if (call.name === REMOVE_TABLE && status === SUCCESS) pending.finish(keyOfCall(call));
      },
    });
    pending.atRelease((entry) =>
      report.violated(
        `table ${entry}, unlinked in the mirror, removed before mmu_lock is released`,
        'the Secure EPT still has it',
      ),
    );
  },
} satisfies VmRule;

/** A call finds a blocked table above its entry. */
function blockedAbove(vm: Vm, call: Call): Wrong | null {
  const gfn = gfnOfCall(call);
  for (let above = levelOfCall(call) + 1; above <= vm.mirror.rootLevel; above++) {
    const parent = septAt(vm, gfn, above);
    if (parent === UNREACHED || stateOf(parent) !== NL_BLOCKED) continue;
    const name = nameOfKey(keyOf(vm.mirror.align(gfn, above), above));
    return [
      `table ${name} mapped where ${call.name} is about ${nameOfKey(keyOfCall(call))} below it`,
      describeEntry(parent),
    ];
  }
  return null;
}

/**
 * A call blocks or removes a table without mmu_lock held for write, or removes one that has
 * entries.
 */
function removedTooEarly(vm: Vm, call: Call): Wrong | null {
  if (call.name !== BLOCK && call.name !== REMOVE_TABLE) return null;
  const [gfn, level] = [gfnOfCall(call), levelOfCall(call)];
  const entry = septAt(vm, gfn, level);
  if (entry === UNREACHED || !isTable(entry)) return null;
  const name = nameOfKey(keyOfCall(call));
  if (!holdsForWrite(vm))
    return [`mmu_lock held for write where table ${name} is removed`, heldAs(vm)];
  if (call.name !== REMOVE_TABLE) return null;
  for (let i = 0; i < vm.mirror.fanout; i++) {
    const at = gfn + i * vm.mirror.span(level - 1);
    const child = septAt(vm, at, level - 1);
    if (child === UNREACHED || stateOf(child) === FREE) continue;
    return [
      `table ${name} empty before it is removed`,
      `${nameOfKey(keyOf(at, level - 1))} is ${describeEntry(child)}`,
    ];
  }
  return null;
}
