import { VM_KINDS } from '../../impl/vm/vm.ts';
import { BAD_GUEST_ENTRY, BAD_UNLOCK, DEADLOCK, ENDED_HOLDING } from '../../spec/machine/faults.ts';
import type { VmRule } from './rule.ts';

export default {
  id: 'S07',
  level: 'required',
  statement:
    'No actor waits for ever; locks, read sections and the guest are left by the actor that ' +
    'entered them, before it ends.',
  source:
    'Linux, Documentation/locking/lockdep-design.rst, Documentation/virt/kvm/locking.rst; ' +
    'see K4, K42 and K57',
  intent: 'A deadlocked task hangs the VM, and with it every task that needs the same lock.',
  hint:
    'Compare the lock order of the actors in the report, and look for a return that skips an ' +
    'unlock, or a wait inside a lock or read section.',
  versions: ['*'],
  vms: VM_KINDS,
  faults: [DEADLOCK.id, BAD_UNLOCK.id, ENDED_HOLDING.id, BAD_GUEST_ENTRY.id],
  atRest: (_vm, report) => report.exercised(),
} satisfies VmRule;
