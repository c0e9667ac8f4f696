import { EMPTY, FROZEN, isLeafSpte } from '../../spec/kvm/spte.ts';
import { classOf, OPERAND_BUSY, SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { agrees, septAt } from './state/entries.ts';
import { gfnOfKey, keyOfPlace, levelOfKey } from './state/entry-keys.ts';

/** Calls about the Secure EPT: after BUSY their caller has something to finish or to roll back. */
const isMemoryCall = (name: string): boolean => name.startsWith('TDH.MEM.');

const UNBLOCK = 'TDH.MEM.RANGE.UNBLOCK';

export default {
  id: 'S09',
  level: 'required',
  statement:
    'An operation that meets BUSY ends only after the call has succeeded or the operation is ' +
    'rolled back.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: set_external_spte_present(); arch/x86/kvm/vmx/tdx.c: ' +
    'tdh_do_no_vcpus(); see K44, K53 and K56',
  intent:
    'An operation left half done leaves an entry frozen, blocked, or present in one table only.',
  hint: 'Check the path after BUSY: it repeats the call, or restores the entry and unblocks.',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per actor: the call that was refused, as "function operand". */
    const refused = new Map<number, string>();
    vm.m.clearOnReset(refused);
    vm.listeners.push({
      answered: (call) => {
        if (!isMemoryCall(call.name)) return;
        const isBusy = classOf(call.status) === OPERAND_BUSY;
        if (!isBusy && !refused.has(vm.m.current)) return;
        const what = `${call.name} ${call.in.rcx}`;
        if (isBusy) return void refused.set(vm.m.current, what);
        const pending = refused.get(vm.m.current);
        // a resize that is given up leaves the mirror as it was, and unblocks its range
        const isEnd =
          pending === what ||
          (call.name === UNBLOCK && pending?.endsWith(` ${call.in.rcx}`) === true);
        if (call.status !== SUCCESS || !isEnd) return;
        report.exercised();
        refused.delete(vm.m.current);
      },
      operationEnded: () => {
        const what = refused.get(vm.m.current);
        if (what !== undefined && !vm.td.isDead())
          report.violated(`${what} repeated or rolled back`, 'the operation ended');
      },
    });
    vm.mirror.listeners.push((table, index, before, after) => {
      // a split that is refused before it began leaves the large page as it was
      if (before === FROZEN && isLeafSpte(after) && refused.has(vm.m.current)) {
        const key = keyOfPlace(vm, table, index);
        if (agrees(vm, after, septAt(vm, gfnOfKey(key), levelOfKey(key))))
          refused.delete(vm.m.current);
      }
      if (after !== EMPTY || before === EMPTY) return;
      if (before === FROZEN || refused.has(vm.m.current)) {
        if (refused.has(vm.m.current)) report.exercised();
        refused.delete(vm.m.current);
      }
    });
  },
} satisfies VmRule;
