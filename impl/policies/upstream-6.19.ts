/**
 * upstream-6.19: as upstream-6.16, and building a TD as in Linux 6.19 (P13n): a page with contents
 * is added inside the frozen window like any other, its source passed down under slots_lock, so
 * that mirror and Secure EPT never differ (K44, K64); every ioctl that changes the TD's state holds
 * every lock (K63); and VP.INIT, which takes the TDR exclusively from module 1.5.05 on, runs with
 * mmu_lock held for write as well (commit 9a89894f30d5; init-vcpu-unlocked is the code before). On
 * module 1.5 it satisfies every rule. Linux does not support module 1.0: before the TD can run it
 * zaps without TRACK, which 1.0 refuses.
 *
 * It differs from Linux in one point: FINALIZE holds mmu_lock for write. Without that, as
 * finalize-unlocked shows, a zap for a punched hole meets a busy TDR, or a TD that can run before
 * KVM records it.
 */
import {
  addInPopulation,
  allLocks,
  closeBuildAlone,
  createVcpu,
  holding,
  initVcpuAlone,
  preFault,
} from '../blocks/build.ts';
import type { Policy } from '../vm/policy.ts';
import { upstream616 } from './upstream-6.16.ts';

export const upstream619: Policy = {
  ...upstream616,
  name: 'upstream-6.19',
  group: 'linux',
  title: 'Linux 6.19: as 6.16, with PAGE.ADD in the frozen window and all locks held (P13n)',
  proposed: 'Christopherson, "KVM: x86/mmu: TDX post-populate cleanups", Oct 2025; Linux 6.19',
  vms: ['td', 'new-td'],
  breaks: [
    {
      rule: 'S01',
      versions: ['1.0'],
      why: '1.0 wants TRACK before PAGE.REMOVE also while the TD is built; KVM leaves it out',
    },
  ],
  *initVcpu(vm, vcpu) {
    yield* holding(allLocks(vm), () => createVcpu(vm, vcpu, initVcpuAlone));
  },
  *addMemory(vm, gfn) {
    yield* holding(allLocks(vm), () => addInPopulation(vm, gfn));
  },
  *finalize(vm) {
    yield* holding(allLocks(vm), () => closeBuildAlone(vm));
  },
  *preFault(vm, vcpu, gfn) {
    yield* preFault(vm, vcpu, gfn);
  },
};

export default upstream619;
