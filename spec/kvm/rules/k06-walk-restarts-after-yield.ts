import { pageNumberOf } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { kindOfSpte, pageOfSpte, TABLE, type Spte } from '../spte.ts';
import { isReachable, isRoot, tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K6',
  level: 'required',
  statement:
    'A walk that dropped mmu_lock uses nothing that it had read from a table before: it reaches ' +
    'the next table from the root again.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_iter_cond_resched()',
  intent: 'While mmu_lock is dropped another actor can unlink and free the table that was known.',
  hint:
    'Look at what the caller keeps across the yield: after tdp_mmu_iter_cond_resched() returns ' +
    'true, the iterator has to restart and the SPTE must not be used.',
  versions: ['*'],
  watch: ({ m, memory, mmuLock, nx, tables }, report) => {
    /** Per actor and table, the actor's period in which it last found a pointer to the table. */
    const learned = new Map<number, number>();
    m.clearOnReset(learned);
    /** Number of times that the actor has taken or released mmu_lock. */
    const period = new PerActor(m);
    const keyOf = (table: number): number => (m.current + 1) * memory.pages + pageNumberOf(table);
    const nextPeriod = (): void => {
      period.mine += 1;
    };
    const learn = (spte: Spte): void => {
      if (kindOfSpte(spte) === TABLE) learned.set(keyOf(pageOfSpte(spte)), period.mine);
    };
    const checkAccess = (table: number): void => {
      if (!mmuLock.holds(m.current) || !isReachable(tables, table) || isRoot(tables, table)) return;
      report.exercised();
      if (learned.get(keyOf(table)) === period.mine) return;
      report.violated(
        `table ${tableName(table)} reached from its root since mmu_lock was taken`,
        'it was found before that',
      );
    };
    mmuLock.listeners.push({ acquired: nextPeriod, releasing: nextPeriod });
    nx.listeners.push({
      recovering: (table) => learned.set(keyOf(tables.parentOf(table)), period.mine),
    });
    tables.readers.push((table, _index, spte) => {
      checkAccess(table);
      learn(spte);
    });
    tables.listeners.push((table, _index, before, after) => {
      checkAccess(table);
      learn(before);
      learn(after);
    });
  },
} satisfies KvmRule;
