import { OUTSIDE_GUEST } from '../../spec/machine/vcpu.ts';
import type { VmRule } from './rule.ts';
import { numbersPerRun } from './state/numbers-per-run.ts';

export default {
  id: 'K57',
  level: 'required',
  statement:
    'A vCPU calls TDH.VP.ENTER only in IN_GUEST_MODE, and handles each exit once, whether or not ' +
    'it entered.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_vcpu_run(); commit e5f1d62c59ae',
  intent:
    'A kick finds only vCPUs in IN_GUEST_MODE; one that enters otherwise runs on through a ' +
    'removal.',
  hint:
    'Check that the vCPU reads wait_for_sept_zap after it set IN_GUEST_MODE, and resets the exit ' +
    'reason when it does not enter.',
  versions: ['*'],
  watch: (vm, report) => {
    /** Per vCPU: the number of the exit that it handled last. */
    const handled = numbersPerRun(vm.m, vm.vcpus.length);
    vm.listeners.push({
      exitHandled: (vcpu, serial) => {
        report.exercised();
        if (handled[vcpu] === serial)
          report.violated('each exit handled once', `vcpu${vcpu} handles its last exit again`);
        handled[vcpu] = serial;
      },
    });
    vm.tdx.listeners.push({
      began: ({ name, in: { lp } }) => {
        if (name !== 'TDH.VP.ENTER' || vm.vcpus[lp]?.kvm.mode() !== OUTSIDE_GUEST) return;
        report.violated(
          `vcpu${lp} in IN_GUEST_MODE, where a kick finds it`,
          'it enters the TD from OUTSIDE_GUEST_MODE',
        );
      },
    });
  },
} satisfies VmRule;
