import { PerActor } from '../../machine/per-actor.ts';
import { describeSpte, tableSpte } from '../spte.ts';
import { UNLINKED } from '../tables.ts';
import { isRoot, tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K18',
  level: 'required',
  statement: 'NX recovery zaps a table only through the SPTE that still points to it.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_zap_possible_nx_huge_page()',
  intent:
    'The parent entry may have changed since the table was listed: recovery would zap a mapping ' +
    'that it does not own.',
  hint:
    "Look at the reread of the parent entry: it has to equal the table's address, and be the old " +
    'value of the cmpxchg.',
  versions: ['*'],
  watch: ({ m, nx, tables }, report) => {
    const target = new PerActor(m, -1);
    nx.listeners.push({
      recovering: (table) => {
        target.mine = table;
        report.exercised();
      },
      recovered: () => {
        target.mine = -1;
      },
    });
    tables.listeners.push((table, _index, before, after) => {
      if (target.mine < 0 || before === after || tables.stageOf(table) === UNLINKED) return;
      if (before === tableSpte(target.mine) || isRoot(tables, target.mine)) return;
      report.violated(
        `only the entry changed that points to table ${tableName(target.mine)}`,
        `one that holds ${describeSpte(before)} is`,
      );
    });
  },
} satisfies KvmRule;
