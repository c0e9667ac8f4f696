import { PerActor } from '../../machine/per-actor.ts';
import type { Walk } from '../iterator.ts';
import type { Promised } from '../kvm.ts';
import { kindOfSpte, TABLE } from '../spte.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

/** Operations whose walks can be long. */
const LONG: ReadonlySet<Promised> = new Set(['unmap', 'zap', 'zap-all', 'log', 'unlog']);

/** Entries that such a walk reads, and tables that it unlinks, between two offers to yield. */
const MOST_READS = 8;
const MOST_TABLES = 2;

export default {
  id: 'K27',
  level: 'required',
  statement:
    'A long walk offers to yield mmu_lock every few SPTEs, and unlinks no more than a table with ' +
    'its entries between two offers; it yields only after progress since its last yield.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_iter_need_resched(), tdp_mmu_zap_root() (one ' +
    'pass per level)',
  intent:
    'A walk that does not yield stalls vCPUs and notifiers for milliseconds; one that yields ' +
    'without progress never ends.',
  hint:
    'Look at where the loop calls tdp_mmu_iter_cond_resched(), and at the comparison of ' +
    'next_last_level_gfn with yielded_gfn.',
  versions: ['*'],
  watch: ({ listeners, m, mmuLock, tables }, report) => {
    const isLong = new PerActor(m);
    const reads = new PerActor(m);
    const unlinked = new PerActor(m);
    /** Where each actor last yielded. */
    const last: { readonly walk: Walk; readonly gfn: number }[] = [];
    m.onReset(() => {
      if (last.length > 0) last.length = 0;
    });
    const restart = (): void => {
      reads.mine = unlinked.mine = 0;
    };
    mmuLock.listeners.push({ acquired: restart });
    listeners.push({
      promised: (what) => {
        if (LONG.has(what)) isLong.mine += 1;
        restart();
      },
      kept: (what) => {
        if (LONG.has(what)) isLong.mine -= 1;
      },
      offered: restart,
      yielding: (walk) => {
        report.exercised();
        if (last[m.current]?.walk === walk && last[m.current]?.gfn === walk.nextGfn) {
          report.violated(
            `the walk beyond GFN ${walk.nextGfn} before it yields again`,
            'no progress since its last yield',
          );
        }
        last[m.current] = { walk, gfn: walk.nextGfn };
      },
    });
    tables.readers.push(() => {
      if (isLong.mine === 0 || !mmuLock.holds(m.current)) return;
      reads.mine += 1;
      if (reads.mine > MOST_READS)
        report.violated(`an offer to yield within ${MOST_READS} entries`, 'none');
    });
    tables.listeners.push((table, _index, before, after) => {
      if (
        isLong.mine === 0 ||
        kindOfSpte(before) !== TABLE ||
        before === after ||
        !mmuLock.holds(m.current)
      )
        return;
      if (!isReachable(tables, table)) return;
      unlinked.mine += 1;
      if (unlinked.mine > MOST_TABLES)
        report.violated(`an offer to yield within ${MOST_TABLES} tables`, 'none');
    });
  },
} satisfies KvmRule;
