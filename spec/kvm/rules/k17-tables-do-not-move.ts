import { describeSpte, kindOfSpte, TABLE } from '../spte.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K17',
  level: 'required',
  statement: 'An SPTE that points to a table never changes directly to point to another table.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: handle_changed_spte(); measured: no such change among ' +
    '2.75 million transitions in captures of Linux 7.3',
  intent: 'A replaced table is never dismantled: what it maps stays mapped, and its page leaks.',
  hint:
    'Look at the writer that installs a table: it has to start from a non-present entry or a ' +
    'leaf, with that value as the old value of its cmpxchg.',
  versions: ['*'],
  watch: ({ tables }, report) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(before) !== TABLE || before === after) return;
      report.exercised();
      if (kindOfSpte(after) === TABLE)
        report.violated(
          `${describeSpte(before)} zapped first`,
          `it becomes ${describeSpte(after)}`,
        );
    });
  },
} satisfies KvmRule;
