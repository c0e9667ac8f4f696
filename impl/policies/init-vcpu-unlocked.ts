/**
 * init-vcpu-unlocked: INIT_VCPU as in the series for Linux 6.19 before commit 9a89894f30d5. It
 * holds kvm->lock, every vcpu->mutex and slots_lock, but not mmu_lock, under which punching a hole
 * calls the module.
 *
 * What it breaks: Linux calls VP.INIT in version 1, which takes the TDR exclusively (module 1.5.05;
 * version 0, all that 1.5.01 has, shares it). The zap's BLOCK, TRACK or REMOVE is refused, and
 * refused again after the kick, as no vCPU is the cause (K56); or VP.INIT itself is refused. Either
 * ends the VM (S01, bug B-87).
 */
import { allLocks, createVcpu, holding } from '../blocks/build.ts';
import type { Policy } from '../vm/policy.ts';
import { upstream619 } from './upstream-6.19.ts';

export const initVcpuUnlocked: Policy = {
  ...upstream619,
  name: 'init-vcpu-unlocked',
  group: 'superseded',
  title: 'initialise a vCPU without a lock that keeps hole punching out',
  proposed: 'KVM: TDX: Take MMU lock around tdh_vp_init(), Oct 2025 (6.19): the code before it',
  vms: ['td', 'new-td'],
  breaks: [
    ...upstream619.breaks,
    {
      rule: 'S01',
      why: 'a hole is punched while VP.INIT of version 1 holds the TDR exclusively',
      versions: ['1.5.05'],
    },
  ],
  *initVcpu(vm, vcpu) {
    yield* holding(allLocks(vm), () => createVcpu(vm, vcpu));
  },
};

export default initVcpuUnlocked;
