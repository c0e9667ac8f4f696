import { TD_RUNNABLE } from '../../spec/kvm/td-vm.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'K52',
  level: 'required',
  statement:
    'While a TD is built, pages are added with contents (PAGE.ADD) under slots_lock; once it can ' +
    'run, pending (PAGE.AUG); only then are pre-faults allowed.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_sept_set_private_spte(), tdx_td_finalize()',
  intent:
    'PAGE.AUG fails before FINALIZE, and PAGE.ADD after it; a page without contents is not ' +
    'measured.',
  hint:
    'Check how a fault reads the state of the TD, and the write order of state and ' +
    'pre_fault_allowed.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: ({ name, in: { r9 } }) => {
        if (name !== 'TDH.MEM.PAGE.AUG' && name !== 'TDH.MEM.PAGE.ADD') return;
        report.exercised();
        const isAdd = name === 'TDH.MEM.PAGE.ADD';
        if (isAdd === vm.td.isRunnable()) {
          report.violated(
            `PAGE.${isAdd ? 'AUG' : 'ADD'}, as the TD is ${isAdd ? 'finalized' : 'being built'}`,
            name,
          );
        } else if (isAdd && !(vm.td.slotsLock.holds(vm.m.current) && r9 !== 0)) {
          report.violated(
            'PAGE.ADD with a source page and under slots_lock',
            'a fault adds a page without contents',
          );
        }
      },
    });
    if (vm.kind === 'new-td') {
      vm.m.onWrite.push((cell, _before, after) => {
        if (cell !== vm.td.preFaultAllowed || after === 0 || vm.m.peek(vm.td.state) === TD_RUNNABLE)
          return;
        report.violated(
          'the state RUNNABLE before pre_fault_allowed is set',
          'a pre-fault can see the second without the first',
        );
      });
    }
  },
} satisfies VmRule;
