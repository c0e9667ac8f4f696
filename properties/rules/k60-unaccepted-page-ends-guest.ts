import { EXIT_PENDING } from '../../spec/kvm/vcpu-exit.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'K60',
  level: 'stochastic',
  statement:
    'A guest that accesses a page it has not accepted, with #VE disabled, is terminated, not ' +
    'resumed.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_is_sept_violation_unexpected_pending()',
  intent: 'The page stays pending, so a resumed guest would fault on it for ever.',
  hint: 'Check that the handler of EPT violations tests for a pending page before it retries.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.listeners.push({
      faultEnded: (vcpu, gfn, _acceptLevel, mayRetry) => {
        if (((vm.vcpus[vcpu]?.exit.flags ?? 0) & EXIT_PENDING) === 0) return;
        report.exercised();
        if (mayRetry)
          report.violated(
            'the VM dead: the page stays pending',
            `vcpu${vcpu} accesses GFN ${gfn} again`,
          );
      },
    });
  },
} satisfies VmRule;
