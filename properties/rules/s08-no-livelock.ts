import { VM_KINDS } from '../../impl/vm/vm.ts';
import { LIVELOCK } from '../../spec/machine/faults.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'S08',
  level: 'required',
  statement: 'Under a fair schedule every operation ends: no retry loops for ever.',
  source: 'thread, messages 2, 4 and 7; see K58 and K66',
  intent: 'A fault that is retried for ever stops the vCPU; a zap retried for ever stops the host.',
  hint:
    'Find the loop in the report, and what has to change for it to end: no actor may change ' +
    'that.',
  versions: ['*'],
  vms: VM_KINDS,
  faults: [LIVELOCK.id],
  atRest: (_vm, report) => report.exercised(),
} satisfies VmRule;
