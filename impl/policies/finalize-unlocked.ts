/**
 * finalize-unlocked: FINALIZE as read in Linux 6.19. It holds kvm->lock, every vcpu->mutex and
 * slots_lock, but neither the guest_memfd file's invalidate lock nor mmu_lock, which is what a hole
 * that is punched takes. Found here; not reported on the list, as far as is known.
 *
 * While MR.FINALIZE holds the TDR exclusively, the zap's RANGE.BLOCK is refused, and refused again
 * without vCPUs: there are none to kick (K56). And between MR.FINALIZE and the moment at which KVM
 * notes that the TD can run, the zap leaves out TRACK, which the module asks for already:
 * TLB_TRACKING_NOT_DONE (S01). Either ends the VM; user space brings it on itself.
 */
import { allLocks, closeBuild, holding } from '../blocks/build.ts';
import type { Policy } from '../vm/policy.ts';
import { upstream619 } from './upstream-6.19.ts';

export const finalizeUnlocked: Policy = {
  ...upstream619,
  name: 'finalize-unlocked',
  group: 'superseded',
  title: 'FINALIZE without a lock that keeps hole punching out',
  proposed: 'Linux 6.19, arch/x86/kvm/vmx/tdx.c: tdx_td_finalize()',
  vms: ['new-td'],
  breaks: [
    { rule: 'S01', why: 'a hole is punched between MR.FINALIZE and the note that the TD can run' },
  ],
  *finalize(vm) {
    yield* holding(allLocks(vm), () => closeBuild(vm));
  },
};

export default finalizeUnlocked;
