import { entryAt } from '../../machine/levels.ts';
import { describeSpte, isPresent } from '../spte.ts';
import { isReachable, tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K33',
  level: 'required',
  statement:
    'No SPTE becomes present under an invalid root; only a root that has a page is checked for ' +
    'being obsolete.',
  source:
    'Linux, arch/x86/kvm/mmu/mmu.c: is_page_fault_stale(); commits a955cad84cda, 18c841e1f411',
  intent:
    'The zapper may have passed that place already: the new mapping would outlive the memslot ' +
    'and leak with the root.',
  hint:
    'Look at is_page_fault_stale(): the root is checked under mmu_lock before anything is ' +
    'installed, and special roots have no struct kvm_mmu_page.',
  versions: ['*'],
  watch: ({ roots, tables }, report) => {
    tables.listeners.push((table, index, before, after) => {
      if (!isReachable(tables, table) || isPresent(before) || !isPresent(after)) return;
      report.exercised();
      const root = tables.rootOf(table);
      if (!roots.isInvalid(root)) return;
      const entry = entryAt(tables.gfnOf(table, index), tables.levelOf(table));
      report.violated(
        `nothing new under invalid root ${tableName(root)}`,
        `entry ${entry} becomes ${describeSpte(after)}`,
      );
    });
    roots.listeners.push({
      specialRootChecked: () =>
        report.violated(
          'only a root that has a page asked whether it is obsolete',
          'a special root is asked',
        ),
    });
  },
} satisfies KvmRule;
