import { entryAt } from '../../machine/levels.ts';
import { pageNumberOf } from '../../machine/pages.ts';
import { describeSpte, FROZEN } from '../spte.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K10',
  level: 'required',
  statement: 'A FROZEN SPTE is changed only by the actor that froze it.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: __tdp_mmu_set_spte_atomic(), tdp_mmu_set_spte(), ' +
    'handle_removed_pt(); measured: no FROZEN entry changes again in captures of Linux 7.3',
  intent:
    'The owner relies on FROZEN until its change is complete: another write makes the entry ' +
    'present while its table is being removed.',
  hint:
    'Find the writer that does not own the FROZEN value: it has to retry when it reads FROZEN, ' +
    'and must never pass FROZEN to cmpxchg as the old value.',
  versions: ['*'],
  watch: ({ m, tables }, report) => {
    const owners = new Map<number, number>();
    m.clearOnReset(owners);
    const keyOf = (table: number, index: number): number =>
      pageNumberOf(table) * tables.fanout + index;
    tables.listeners.push((table, index, before, after) => {
      if (before === FROZEN && after !== FROZEN && owners.get(keyOf(table, index)) !== m.current) {
        const entry = entryAt(tables.gfnOf(table, index), tables.levelOf(table));
        report.violated(
          `entry ${entry} unchanged, as another actor froze it`,
          `it becomes ${describeSpte(after)}`,
        );
      }
      if (after !== FROZEN || before === FROZEN) return;
      report.exercised();
      owners.set(keyOf(table, index), m.current);
    });
  },
} satisfies KvmRule;
