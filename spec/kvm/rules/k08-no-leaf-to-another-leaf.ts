import { describeSpte, isLeafSpte, pageOfSpte } from '../spte.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K8',
  level: 'required',
  statement:
    'A present leaf SPTE never changes directly into a leaf for another page: it is zapped and ' +
    'flushed in between.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: handle_changed_spte(); measured: no such change among ' +
    '2.75 million transitions in captures of Linux 7.3',
  intent:
    'A direct change leaves vCPUs with translations to both pages, and the old page is reused ' +
    'while they still write it.',
  hint:
    'Look at how the fault treats a present leaf with a different PFN: the mapping should have ' +
    'been zapped by the notifier that moved the page.',
  versions: ['*'],
  watch: ({ tables }, report) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (!isLeafSpte(before) || !isLeafSpte(after)) return;
      report.exercised();
      if (pageOfSpte(before) === pageOfSpte(after)) return;
      report.violated(`${describeSpte(before)} zapped first`, `it becomes ${describeSpte(after)}`);
    });
  },
} satisfies KvmRule;
