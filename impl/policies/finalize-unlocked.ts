/**
 * finalize-unlocked: FINALIZE as in Linux 6.19. It holds kvm->lock, every vcpu->mutex and
 * slots_lock, but neither of the locks that punching a hole takes: the guest_memfd file's
 * invalidate lock, and mmu_lock. Found by this project; not known to be reported on the list.
 *
 * What it breaks: while MR.FINALIZE holds the TDR exclusively, the zap's RANGE.BLOCK is refused,
 * and refused again after the kick, as no vCPU is the cause (K56). Between MR.FINALIZE and the
 * write that records that the TD can run, the zap omits TRACK, which the module requires already:
 * TLB_TRACKING_NOT_DONE (S01). Either ends the VM; only user space's own calls cause it.
 */
import { allLocks, closeBuild, holding } from '../blocks/build.ts';
import type { Policy } from '../vm/policy.ts';
import { upstream619 } from './upstream-6.19.ts';

export const finalizeUnlocked: Policy = {
  ...upstream619,
  name: 'finalize-unlocked',
  group: 'superseded',
  title: 'finalize a TD without a lock that keeps hole punching out',
  proposed: 'Linux 6.19, arch/x86/kvm/vmx/tdx.c: tdx_td_finalize()',
  vms: ['new-td'],
  breaks: [
    {
      rule: 'S01',
      why: 'a hole is punched during MR.FINALIZE, or before KVM records that the TD can run',
    },
  ],
  *finalize(vm) {
    yield* holding(allLocks(vm), () => closeBuild(vm));
  },
};

export default finalizeUnlocked;
