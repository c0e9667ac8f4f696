import type { KvmRule } from './rule.ts';

export default {
  id: 'K4',
  level: 'required',
  statement:
    'The list of roots and the list of possible NX huge pages change under tdp_mmu_pages_lock, ' +
    'taken inside mmu_lock.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_alloc_root(), tdp_mmu_unlink_sp(); ' +
    'Documentation/virt/kvm/locking.rst, section 1',
  intent:
    'Several tasks hold mmu_lock for read at once; without the spinlock they corrupt the lists, ' +
    'and the wrong order of locks deadlocks.',
  hint:
    'Look at where roots are linked or unlinked and tables enter or leave the NX list: mmu_lock ' +
    'first, then tdp_mmu_pages_lock.',
  versions: ['*'],
  watch: ({ m, mmuLock, pagesLock, roots, nx }, report) => {
    const changed = (): void => {
      report.exercised();
      if (!pagesLock.holds(m.current))
        report.violated('tdp_mmu_pages_lock held', 'the list changes without it');
      else if (!mmuLock.holds(m.current))
        report.violated('mmu_lock held', 'only tdp_mmu_pages_lock is');
    };
    roots.listeners.push({ linked: changed, unlinked: changed });
    nx.listeners.push({ added: changed, removed: changed, removedUnlisted: changed });
  },
} satisfies KvmRule;
