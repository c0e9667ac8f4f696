import { classOf, OPERAND_BUSY, SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { gfnOfCall, levelOfCall } from './state/entry-keys.ts';
import { numbersPerRun } from './state/numbers-per-run.ts';

export default {
  id: 'K51',
  level: 'stochastic',
  statement: 'A page whose removal failed is leaked: the module may still own it.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_sept_remove_private_spte(); commit 24adff397052',
  intent: 'A host write to a page that the module still owns ends in a machine check.',
  hint: 'Check the error path of PAGE.REMOVE: it must not clear, free or reuse the page.',
  versions: ['*'],
  watch: (vm, report) => {
    const failed = numbersPerRun(vm.m, vm.memory.pages);
    vm.listeners.push({
      answered: (call) => {
        if (call.name !== 'TDH.MEM.PAGE.REMOVE' || classOf(call.status) === OPERAND_BUSY) return;
        if (call.status !== SUCCESS) report.exercised();
        const first = vm.guestMemory.pageOf(gfnOfCall(call));
        for (let i = 0; i < vm.mirror.span(levelOfCall(call)); i++)
          failed[first + i] = call.status === SUCCESS ? 0 : 1;
      },
      hostTouched: (page) => {
        if (failed[page] !== 0)
          report.violated(`page ${page} leaked: its removal failed`, 'the host uses it');
      },
    });
  },
} satisfies VmRule;
