import { describeSpte, FROZEN, isPresent } from '../../spec/kvm/spte.ts';
import type { VmRule } from './rule.ts';
import { ADDS } from './state/calls.ts';
import { agrees, describeMirror, describeSept, isLinked, septAt, spteAt } from './state/entries.ts';
import {
  gfnOfKey,
  keyOfCall,
  keyOfPlace,
  levelOfKey,
  nameOfKey,
  type Key,
} from './state/entry-keys.ts';
import { holdsForWrite } from './state/mmu-lock.ts';

export default {
  id: 'K44',
  level: 'required',
  statement:
    'A mirror entry becomes present only after the SEAMCALL that makes the same change ' +
    'succeeded; its caller froze the entry or holds mmu_lock for write.',
  source: 'Linux 6.14, tdp_mmu.c: set_external_spte_present(); thread, message 3',
  intent: 'If the mirror is first, another fault descends into a table that the module lacks.',
  hint:
    'Check the order in the fault: cmpxchg to FROZEN, SEAMCALL, then the new value, or the old ' +
    'value when the SEAMCALL failed.',
  versions: ['*'],
  watch: (vm, report) => {
    /** The actor that froze an entry. */
    const frozenBy = new Map<Key, number>();
    vm.m.clearOnReset(frozenBy);
    vm.mirror.listeners.push((table, index, before, after) => {
      if (after === FROZEN) frozenBy.set(keyOfPlace(vm, table, index), vm.m.current);
      if (!isPresent(after) || isPresent(before) || !isLinked(vm, table)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      const entry = septAt(vm, gfnOfKey(key), levelOfKey(key));
      if (agrees(vm, after, entry)) return;
      report.violated(
        `entry ${nameOfKey(key)} in the Secure EPT first, as in the mirror, ${describeSpte(after)}`,
        describeSept(entry),
      );
    });
    vm.tdx.listeners.push({
      began: (call) => {
        if (!ADDS.has(call.name) || holdsForWrite(vm)) return;
        const key = keyOfCall(call);
        const spte = spteAt(vm, gfnOfKey(key), levelOfKey(key));
        if (spte === FROZEN && frozenBy.get(key) === vm.m.current) return;
        report.violated(
          `mirror entry ${nameOfKey(key)} frozen by the caller of ${call.name}`,
          describeMirror(spte),
        );
      },
    });
  },
} satisfies VmRule;
