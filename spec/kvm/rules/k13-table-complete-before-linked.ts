import { describeSpte, isLeafSpte, kindOfSpte, pageOfSpte, TABLE } from '../spte.ts';
import { READY } from '../tables.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

/** What a table is, by its stage. */
const STAGES = [
  'it is not accounted',
  'it is ready',
  'it is linked',
  'it was linked before, and is about to be freed',
] as const;

export default {
  id: 'K13',
  level: 'required',
  statement: 'A table is complete and accounted before an SPTE points to it.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_map(), tdp_mmu_split_huge_page()',
  intent:
    'The hardware and other vCPUs walk a table from the moment it is linked: an incomplete one ' +
    'unmaps pages or maps wrong ones.',
  hint:
    'Look at the order: allocate, fill (all children when a huge page is split), account, and ' +
    'only then the cmpxchg of the parent entry.',
  versions: ['*'],
  watch: ({ m, pages, tables }, report) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(after) !== TABLE || before === after) return;
      report.exercised();
      const child = pageOfSpte(after);
      if (tables.stageOf(child) !== READY) {
        report.violated(
          `table ${tableName(child)} accounted, and never linked before`,
          STAGES[tables.stageOf(child)],
        );
      }
      if (!isLeafSpte(before)) return;
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(child, i));
        if (
          isLeafSpte(spte) &&
          pageOfSpte(spte) === pageOfSpte(before) + i * tables.span(tables.levelOf(child))
        )
          continue;
        report.violated(
          `every page of ${describeSpte(before)} in the table that replaces it`,
          describeSpte(spte),
        );
      }
    });
  },
} satisfies KvmRule;
