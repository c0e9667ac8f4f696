import { entryAt } from '../../machine/levels.ts';
import { describeSpte } from '../spte.ts';
import { CLEARED, COMPARED } from '../tables.ts';
import { isLocklessChange } from './lockless-changes.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K1',
  level: 'required',
  statement:
    'An SPTE is written with mmu_lock held; without it, only fast page faults and aging write, ' +
    'atomically, to a leaf of a direct table that keeps its page, and a fast page fault restores ' +
    'only what dirty logging or aging cleared.',
  source:
    'Linux, Documentation/virt/kvm/locking.rst, section 2; arch/x86/kvm/mmu/tdp_mmu.c: ' +
    'tdp_mmu_set_spte(), kvm_tdp_mmu_age_gfn_range(); mmu.c: fast_page_fault(); measured: aging ' +
    'holds no lock in captures of Linux 7.3',
  intent:
    'Without mmu_lock a writer can change an entry that is being zapped, or that maps another ' +
    'GFN by now.',
  hint:
    'Find the write outside mmu_lock: take the lock, or make it a cmpxchg or clear_bits that ' +
    'changes only W, D, A or tracking bits.',
  versions: ['*'],
  watch: ({ m, mmuLock, shadow, tables }, report) => {
    shadow.tables.listeners.push((_table, index, before, after) => {
      if (before === after) return;
      report.exercised();
      if (mmuLock.heldForWrite(m.current)) return;
      report.violated(
        'an indirect table changed with mmu_lock held for write',
        `entry ${index}: ${describeSpte(before)} -> ${describeSpte(after)} without it: ` +
          'the entry may map another GFN by now',
      );
    });
    tables.listeners.push((table, index, before, after, how) => {
      if (!isReachable(tables, table) || before === after) return;
      report.exercised();
      if (mmuLock.holds(m.current)) return;
      if ((how === COMPARED || how === CLEARED) && isLocklessChange(before, after)) return;
      const entry = entryAt(tables.gfnOf(table, index), tables.levelOf(table));
      report.violated(
        `entry ${entry} written with mmu_lock held`,
        `${describeSpte(before)} -> ${describeSpte(after)} without it`,
      );
    });
  },
} satisfies KvmRule;
