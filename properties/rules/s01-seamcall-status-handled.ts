import { classOf, describeStatus, statusName, SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'S01',
  level: 'required',
  statement: 'Every SEAMCALL succeeds or returns a status that its caller handles.',
  source: 'thread, messages 2, 4 and 14; see K47, K53 and K56 (any other error kills the VM)',
  intent: 'KVM takes an unexpected status for a bug of its own: it kills the VM or leaks the page.',
  hint:
    'Find what another actor changed before the call: look for a lock not held, an entry not ' +
    'frozen, or a BUSY that the caller does not handle.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.listeners.push({
      answered: (call, tolerated) => {
        report.exercised();
        if (call.status === SUCCESS || tolerated.includes(classOf(call.status))) return;
        const allowed = ['TDX_SUCCESS', ...tolerated.map((status) => statusName(status))];
        report.violated(
          `${call.name} returns ${allowed.join(' or ')}`,
          describeStatus(call.status),
        );
      },
    });
  },
} satisfies VmRule;
