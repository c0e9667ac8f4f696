import type { SpinLock } from '../../spec/machine/spinlock.ts';
import { classOf, describeStatus, OPERAND_BUSY } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';

/** Calls that take the TDR exclusively, or that change what such a call reads. */
const CHANGES_STATE: ReadonlySet<string> = new Set([
  'TDH.VP.CREATE',
  'TDH.VP.ADDCX',
  'TDH.VP.INIT',
  'TDH.MEM.PAGE.ADD',
  'TDH.MR.EXTEND',
  'TDH.MR.FINALIZE',
]);

export default {
  id: 'K63',
  level: 'required',
  statement:
    'The ioctls that build a TD hold kvm->lock, every vcpu->mutex and slots_lock, so that none ' +
    'of their SEAMCALLs meets a BUSY that it does not handle.',
  source: 'commit 15945e9ec195 (6.19); Linux, arch/x86/kvm/vmx/tdx.c: tdx_acquire_vm_state_locks()',
  intent: 'These calls take the TDR exclusively; any other call of the same TD makes them fail.',
  hint: 'Check which locks the ioctl takes, and which path calls the module without them.',
  versions: ['*'],
  vms: ['new-td'],
  watch: (vm, report) => {
    const needed: readonly SpinLock[] = [vm.td.kvmLock, ...vm.td.vcpuMutexes, vm.td.slotsLock];
    vm.tdx.listeners.push({
      ended: ({ name }) => {
        if (!CHANGES_STATE.has(name)) return;
        report.exercised();
        const missing = needed.find((lock) => !lock.holds(vm.m.current));
        if (missing !== undefined)
          report.violated(`${vm.m.nameOf(missing.cell)} held at ${name}`, 'it is not');
      },
    });
    vm.listeners.push({
      answered: ({ name, status }, tolerated) => {
        if (!CHANGES_STATE.has(name) || classOf(status) !== OPERAND_BUSY) return;
        if (tolerated.includes(OPERAND_BUSY)) return;
        report.violated(`no other call of the TD during ${name}`, describeStatus(status));
      },
    });
  },
} satisfies VmRule;
