import { NL_MAPPED, stateOf } from '../../spec/tdx/entry.ts';
import type { VmRule } from './rule.ts';
import { ADDS } from './state/calls.ts';
import { describeSept, septAt, UNREACHED } from './state/entries.ts';
import { gfnOfCall, keyOf, keyOfCall, levelOfCall, nameOfKey } from './state/entry-keys.ts';

export default {
  id: 'K45',
  level: 'required',
  statement: 'An entry is added to the Secure EPT only after the table that contains it was added.',
  source:
    'Linux 6.14, tdp_mmu.c: set_external_spte_present(); thread, message 10 (a child overtakes ' +
    'its parent)',
  intent: 'SEPT.ADD and PAGE.AUG walk to the parent table; without it they fail and KVM gives up.',
  hint:
    'Check that the parent entry stays FROZEN until its SEPT.ADD has succeeded, and that a fault ' +
    'that meets FROZEN retries.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: (call) => {
        if (!ADDS.has(call.name)) return;
        const [gfn, level] = [gfnOfCall(call), levelOfCall(call)];
        if (level === vm.mirror.rootLevel) return;
        report.exercised();
        const parent = septAt(vm, gfn, level + 1);
        if (parent !== UNREACHED && stateOf(parent) === NL_MAPPED) return;
        const above = nameOfKey(keyOf(vm.mirror.align(gfn, level + 1), level + 1));
        report.violated(
          `a table at ${above} before ${call.name} of ${nameOfKey(keyOfCall(call))}`,
          describeSept(parent),
        );
      },
    });
  },
} satisfies VmRule;
