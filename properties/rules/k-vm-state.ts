/** K52, K61, K63, K64: what may be added to a TD when, from where, and under which locks. */
import type { Vm } from '../../impl/vm/vm.ts';
import { kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import { TD_RUNNABLE } from '../../spec/kvm/td-vm.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { SpinLock } from '../../spec/machine/spinlock.ts';
import { classOf, describeStatus, OPERAND_BUSY } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { hasSeptLeaf, mirrorLeaf } from './state/ghosts.ts';

const K52: VmRule = {
  id: 'K52',
  level: 'required',
  statement:
    'A page is added with contents (ADD) while the TD is built, by whoever holds slots_lock, and pending (AUG) ' +
    'once it can run; pre-faults are let in after that.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_sept_set_private_spte(), tdx_td_finalize()',
  versions: ['*'],
  vms: ['td', 'new-td'],
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
            'PAGE.ADD with a source page, by a holder of slots_lock',
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
          'a pre-fault can find them the other way round',
        );
      });
    }
  },
};

const K61: VmRule = {
  id: 'K61',
  level: 'required',
  statement:
    'A page that becomes private was looked up for writing: the Secure EPT maps it writable.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_handle_ept_violation(), tdx_sept_set_private_spte()',
  versions: ['*'],
  vms: ['td', 'new-td'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: ({ name, in: { rcx } }) => {
        if (name !== 'TDH.MEM.PAGE.AUG' && name !== 'TDH.MEM.PAGE.ADD') return;
        report.exercised();
        const first = Math.floor(rcx / PAGE_BYTES);
        for (let gfn = first; gfn < first + vm.mirror.span(rcx % 8); gfn++) {
          if (vm.guestMemory.isWritable(gfn)) continue;
          report.violated(
            `the page of GFN ${gfn} looked up for writing`,
            'it may be one that others read, too',
          );
        }
      },
    });
  },
};

/** Calls that take the TDR exclusively, or that change what such a call is about. */
const CHANGES_STATE: ReadonlySet<string> = new Set([
  'TDH.VP.CREATE',
  'TDH.VP.ADDCX',
  'TDH.VP.INIT',
  'TDH.MEM.PAGE.ADD',
  'TDH.MR.EXTEND',
  'TDH.MR.FINALIZE',
]);

const K63: VmRule = {
  id: 'K63',
  level: 'required',
  statement:
    'The ioctls that build a TD hold kvm->lock, every vcpu->mutex and slots_lock, so that none of their calls ' +
    'meets a BUSY that it has no answer to.',
  source: 'commit 15945e9ec195 (6.19); Linux, arch/x86/kvm/vmx/tdx.c: tdx_acquire_vm_state_locks()',
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
        if (
          !CHANGES_STATE.has(name) ||
          classOf(status) !== OPERAND_BUSY ||
          tolerated.includes(OPERAND_BUSY)
        )
          return;
        report.violated(`${name} meets nobody`, describeStatus(status));
      },
    });
  },
};

const K64: VmRule = {
  id: 'K64',
  level: 'required',
  statement:
    'While a TD is built, no mirror leaf lacks its page in the Secure EPT, but for those that KVM counts; and ' +
    'those are out of the reach of whoever takes pages away.',
  source: 'commits 6b5b71ffabf9, af96d5452e5e; Linux 6.16, arch/x86/kvm/vmx/tdx.c: nr_premapped',
  versions: ['*'],
  vms: ['new-td'],
  watch: (vm, report) => {
    const count = (): void => {
      if (vm.td.isRunnable()) return;
      const isPopulating =
        vm.m.peek(vm.td.slotsLock.cell) !== 0 || vm.m.peek(vm.td.filemapLock.cell) !== 0;
      if (isPopulating && !vm.td.slotsLock.holds(vm.m.current)) return;
      report.exercised();
      const counted = vm.m.peek(vm.td.nrPremapped);
      const premapped = mirrorOnly(vm);
      if (counted !== premapped)
        report.violated(`${premapped} leaves in the mirror alone`, `KVM counts ${counted}`);
    };
    vm.listeners.push({ operationEnded: count });
    vm.mmuLock.listeners.push({
      releasing: () => {
        if (
          vm.td.isRunnable() ||
          !vm.td.slotsLock.holds(vm.m.current) ||
          vm.td.filemapLock.holds(vm.m.current)
        )
          return;
        if (mirrorOnly(vm) === 0) return;
        report.violated(
          'whoever takes pages away kept out until the module has the page',
          'no lock of theirs is held',
        );
      },
    });
    vm.tdx.listeners.push({
      began: ({ name }) => {
        if (name === 'TDH.MR.FINALIZE') count();
      },
    });
  },
};

/** How many GFNs the mirror maps and the Secure EPT does not. */
function mirrorOnly(vm: Vm): number {
  let premapped = 0;
  for (let gfn = 0; gfn < vm.guestMemory.gfns; gfn++) {
    if (kindOfSpte(mirrorLeaf(vm, gfn)) === LEAF && !hasSeptLeaf(vm, gfn)) premapped++;
  }
  return premapped;
}

export const VM_STATE_RULES: readonly VmRule[] = [K52, K61, K63, K64];
export default VM_STATE_RULES;
