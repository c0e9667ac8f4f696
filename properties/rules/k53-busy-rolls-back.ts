import { EMPTY, FROZEN, isPresent } from '../../spec/kvm/spte.ts';
import { PerActor } from '../../spec/machine/per-actor.ts';
import { classOf, OPERAND_BUSY } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { ADDS } from './state/calls.ts';
import { keyOfCall, keyOfPlace } from './state/entry-keys.ts';

export default {
  id: 'K53',
  level: 'stochastic',
  statement:
    'When adding a page or a table meets BUSY, the mirror entry is restored before the fault is ' +
    'retried.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: set_external_spte_present(); arch/x86/kvm/vmx/tdx.c: ' +
    'tdx_mem_page_aug()',
  intent: 'An entry left FROZEN makes every later fault on it retry for ever.',
  hint: 'Check the error path after SEPT.ADD, PAGE.AUG and PAGE.ADD: it writes the old value back.',
  versions: ['*'],
  watch: (vm, report) => {
    /**
     * Per actor, as key plus one: the entry whose call was refused, and the entry that the actor
     * changed ahead of its call.
     */
    const refused = new PerActor(vm.m);
    const changed = new PerActor(vm.m);
    const ended = (): void => {
      if (refused.mine === 0) return;
      if (refused.mine === changed.mine)
        report.violated('the mirror entry restored after BUSY', 'the fault ends without that');
      refused.mine = 0;
    };
    vm.listeners.push({
      answered: (call) => {
        if (!ADDS.has(call.name)) return;
        const entry = keyOfCall(call) + 1;
        if (classOf(call.status) === OPERAND_BUSY) refused.mine = entry;
        else if (refused.mine === entry) refused.mine = 0;
      },
      slotFound: ended,
      faultEnded: ended,
      operationEnded: ended,
    });
    vm.mirror.listeners.push((table, index, before, after) => {
      if (before !== FROZEN && after !== FROZEN && refused.mine === 0) return;
      const entry = keyOfPlace(vm, table, index) + 1;
      if (after === EMPTY && refused.mine === entry) {
        report.exercised();
        refused.mine = 0;
      } else if (isPresent(after) && refused.mine === entry) {
        report.violated('the mirror entry restored after BUSY', 'it becomes present');
      }
      changed.mine = after === EMPTY ? 0 : entry;
    });
  },
} satisfies VmRule;
