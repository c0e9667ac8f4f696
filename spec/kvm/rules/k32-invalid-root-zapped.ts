import { entryAt } from '../../machine/levels.ts';
import { describeSpte } from '../spte.ts';
import { findEntry } from './present-entries.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K32',
  level: 'required',
  statement:
    'A root is invalidated with mmu_lock held for write; it is zapped before the operation that ' +
    'invalidated it returns, and before its last reference is put.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_invalidate_roots(), ' +
    'kvm_tdp_mmu_zap_invalidated_roots()',
  intent:
    'The caller relies on the result: leaves left in an invalid root map a memslot that is gone.',
  hint:
    'Look at the order: invalidate all roots under the write lock, zap each one, put the MMU ' +
    'reference last.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { m, mmuLock, roots } = kvm;
    const checkEmpty = (root: number): void => {
      findEntry(kvm, root, (spte, gfn, level) => {
        report.violated(
          `invalid root ${tableName(root)} zapped`,
          `entry ${entryAt(gfn, level)} is ${describeSpte(spte)}`,
        );
        return true;
      });
    };
    roots.listeners.push({
      invalidated: () => {
        report.exercised();
        if (!mmuLock.heldForWrite(m.current))
          report.violated('mmu_lock held for write', 'a root becomes invalid without it');
      },
      dropped: (root, left) => {
        if (left === 0) checkEmpty(root);
      },
    });
    kvm.listeners.push({
      kept: (what) => {
        if (what !== 'zap-all') return;
        report.exercised();
        for (const root of roots.all()) if (roots.isInvalid(root)) checkEmpty(root);
      },
    });
  },
} satisfies KvmRule;
