import { PerActor } from '../../machine/per-actor.ts';
import { NO_MEMSLOT } from '../memslots.ts';
import { CurrentFaults } from './current-faults.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K41',
  level: 'required',
  statement:
    'A fault on a GFN that is being invalidated retries before it takes mmu_lock, so that the ' +
    'invalidation does not have to yield to it.',
  source:
    'Linux, arch/x86/kvm/mmu/mmu.c: kvm_mmu_faultin_pfn(); include/linux/kvm_host.h: ' +
    'mmu_invalidate_retry_gfn_unsafe(); commit d02c357e5bfa',
  intent:
    'Faulting vCPUs that contend for mmu_lock make the zap yield again and again, and nothing ' +
    'progresses.',
  hint:
    'Look at mmu_invalidate_retry_gfn_unsafe(): it is checked after the sample of ' +
    'mmu_invalidate_seq and before mmu_lock.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { invalidation, m, mmuLock } = kvm;
    const faults = new CurrentFaults(kvm);
    const wasCovered = new PerActor(m);
    invalidation.listeners.push({
      sampled: () => {
        const { mine } = faults;
        wasCovered.mine = mine !== null && invalidation.covers(mine.gfn) ? 1 : 0;
        if (wasCovered.mine !== 0) report.exercised();
      },
      ended: () => wasCovered.fill(0),
    });
    mmuLock.listeners.push({
      acquired: () => {
        const { mine } = faults;
        if (mine === null || mine.slot === NO_MEMSLOT || wasCovered.mine === 0) return;
        report.violated(
          `no lock for a fault on GFN ${mine.gfn}, which is being invalidated`,
          'it takes mmu_lock',
        );
      },
    });
    kvm.listeners.push({
      faultBegan: () => {
        wasCovered.mine = 0;
      },
    });
  },
} satisfies KvmRule;
