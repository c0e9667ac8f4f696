import { describeSpte, isLeafSpte, MMU_WRITABLE, WRITABLE } from '../spte.ts';
import { leafAt } from './present-entries.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K19',
  level: 'required',
  statement:
    'A page that KVM shadows is writable through no valid root, and no fast page fault can make ' +
    'it writable: W and MMU-writable are both clear.',
  source: 'Linux, arch/x86/kvm/mmu/spte.h; commit 7c8a4742c4ab',
  intent:
    'KVM has to see every write to a guest page table that it shadows; an unseen write leaves ' +
    'the shadow table wrong.',
  hint:
    'Look at write-protection for shadow paging: spte_write_protect() with pt_protect has to ' +
    'clear MMU-writable too, in every root of the address space.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { m, roots, tables, tracked } = kvm;
    kvm.listeners.push({
      kept: (what, asId, gfn) => {
        if (what !== 'track') return;
        report.exercised();
        for (const root of roots.all()) {
          if (roots.isInvalid(root) || roots.asIdOf(root) !== asId) continue;
          const leaf = leafAt(kvm, root, gfn);
          if ((leaf & (WRITABLE | MMU_WRITABLE)) === 0) continue;
          report.violated(`GFN ${gfn} neither writable nor MMU-writable`, describeSpte(leaf));
        }
      },
    });
    tables.listeners.push((table, index, before, after) => {
      const gfn = tables.gfnOf(table, index);
      const getsWritable =
        isLeafSpte(after) &&
        (after & WRITABLE) !== 0 &&
        !(isLeafSpte(before) && (before & WRITABLE) !== 0);
      if (!getsWritable || m.peek(tracked + gfn) === 0 || kvm.mmuLock.holds(m.current)) return;
      const root = tables.rootOf(table);
      if (
        !isReachable(tables, table) ||
        roots.isInvalid(root) ||
        roots.asIdOf(root) !== 0 ||
        tables.levelOf(table) > 0
      )
        return;
      report.violated(`GFN ${gfn}, which is shadowed, not writable`, describeSpte(after));
    });
  },
} satisfies KvmRule;
