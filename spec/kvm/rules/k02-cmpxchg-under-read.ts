import { pageNumberOf } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { describeSpte, FROZEN } from '../spte.ts';
import { CLEARED, COMPARED, EXCHANGED, UNLINKED } from '../tables.ts';
import { isLocklessChange } from './lockless-changes.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K2',
  level: 'required',
  statement:
    'Under mmu_lock held for read, an SPTE is changed only by cmpxchg, and a failed cmpxchg ' +
    'rereads it before retrying. xchg is allowed only to write FROZEN into an unlinked table.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: __tdp_mmu_set_spte_atomic(), tdp_mmu_set_spte_atomic(), ' +
    'handle_removed_pt()',
  intent:
    'Readers of mmu_lock write side by side: an unconditional write, or a retry with a stale ' +
    'value, loses the change of another actor.',
  hint:
    'Look at the writes under mmu_lock held for read: each needs cmpxchg, and a failed one has ' +
    'to reload the old value, as tdp_mmu_set_spte_atomic() does.',
  versions: ['*'],
  watch: ({ m, mmuLock, tables }, report) => {
    /** Key of the entry whose cmpxchg failed and which the actor has not reread since; or 0. */
    const lost = new PerActor(m);
    const keyOf = (table: number, index: number): number =>
      pageNumberOf(table) * tables.fanout + index + 1;
    tables.readers.push((table, index) => {
      if (lost.mine === keyOf(table, index)) lost.mine = 0;
    });
    tables.onCmpxchgFailed.push((table, index) => {
      if (lost.mine === keyOf(table, index))
        report.violated('the entry reread after a failed cmpxchg', 'another attempt');
      lost.mine = keyOf(table, index);
    });
    tables.listeners.push((table, _index, before, after, how) => {
      if (!isReachable(tables, table) || !mmuLock.heldForRead(m.current)) return;
      report.exercised();
      if (how === COMPARED) return;
      if (how === EXCHANGED && after === FROZEN && tables.stageOf(table) === UNLINKED) return;
      if (how === CLEARED && isLocklessChange(before, after)) return;
      report.violated(
        'a cmpxchg',
        `${describeSpte(before)} -> ${describeSpte(after)} without comparing`,
      );
    });
  },
} satisfies KvmRule;
