import { classOf, describeStatus, PREVIOUS_TLB_EPOCH_BUSY } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { holdsForWrite } from './state/mmu-lock.ts';

const TRACK = 'TDH.MEM.TRACK';

export default {
  id: 'K55',
  level: 'required',
  statement:
    'TRACK and the kick after it are one unit under mmu_lock held for write: no TRACK begins ' +
    'before every vCPU has left the previous epoch.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_track(); docs/module-notes.md#tlb-tracking',
  intent:
    'A second TRACK fails while a vCPU of the previous epoch is inside, and KVM kills the VM.',
  hint: 'Check that TRACK is followed by a kick of all vCPUs before mmu_lock is released.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: ({ name }) => {
        if (name !== TRACK) return;
        report.exercised();
        if (!holdsForWrite(vm)) report.violated('mmu_lock held for write at TRACK', 'it is not');
      },
      ended: ({ name }, status) => {
        if (name !== TRACK || classOf(status) !== PREVIOUS_TLB_EPOCH_BUSY) return;
        report.violated(
          'every vCPU kicked out of the previous epoch before the next TRACK',
          describeStatus(status),
        );
      },
    });
  },
} satisfies VmRule;
