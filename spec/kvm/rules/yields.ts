/** K27 to K30: when a walk may drop mmu_lock on its way, and how it goes on. */
import { entryAt } from '../../machine/levels.ts';
import { PerActor } from '../../machine/per-actor.ts';
import type { Walk } from '../iterator.ts';
import type { Promised } from '../kvm.ts';
import { kindOfSpte, TABLE } from '../spte.ts';
import { isRoot, isShared, tableName } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

/** Walks that may take long, and so have to offer to yield. */
const LONG: ReadonlySet<Promised> = new Set(['unmap', 'zap', 'zap-all', 'log', 'unlog']);

/**
 * Entries that such a walk looks at, and tables that it disposes of, before it offers to yield
 * again.
 */
const MOST_READS = 8;
const MOST_TABLES = 2;

const K27: KvmRule = {
  id: 'K27',
  level: 'required',
  statement:
    'A long walk offers to yield every few entries, never disposing of more than a table with its entries in between; ' +
    'it yields only when it got further since it last did.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_iter_need_resched(), tdp_mmu_zap_root() (passes by level)',
  versions: ['*'],
  watch: ({ listeners, m, mmuLock, tables }, report) => {
    const isLong = new PerActor(m);
    const reads = new PerActor(m);
    const disposed = new PerActor(m);
    /** Where each actor last yielded. */
    const last: { readonly walk: Walk; readonly gfn: number }[] = [];
    m.onReset(() => {
      if (last.length > 0) last.length = 0;
    });
    const restart = (): void => {
      reads.mine = disposed.mine = 0;
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
            'it is where it was',
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
      if (!isShared(tables, table)) return;
      disposed.mine += 1;
      if (disposed.mine > MOST_TABLES)
        report.violated(`an offer to yield within ${MOST_TABLES} tables`, 'none');
    });
  },
};

const K28: KvmRule = {
  id: 'K28',
  level: 'required',
  statement: 'After a yield a walk starts over at its root, at the GFN it had come to.',
  source: 'Linux, tdp_iter.c: tdp_iter_restart(); commit 3a0f64de479c',
  versions: ['*'],
  watch: ({ listeners, m, mmuLock, tables }, report) => {
    const expected = new PerActor(m, -1);
    listeners.push({
      yielding: (walk) => {
        expected.mine = walk.nextGfn;
      },
    });
    tables.readers.push((table, index) => {
      if (expected.mine < 0 || !mmuLock.holds(m.current)) return;
      const gfn = expected.mine;
      expected.mine = -1;
      report.exercised();
      if (isRoot(tables, table) && index === tables.index(gfn, tables.rootLevel)) return;
      report.violated(
        `the root's entry for GFN ${gfn}`,
        `entry ${entryAt(tables.gfnOf(table, index), tables.levelOf(table))}`,
      );
    });
  },
};

const K29: KvmRule = {
  id: 'K29',
  level: 'required',
  statement:
    'A walk that yields holds a reference of its own to the root it is in; nobody goes on from a root that is gone.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_next_root(); commit 7533377215b6',
  versions: ['*'],
  watch: ({ listeners, m, roots }, report) => {
    const held = new Map<number, number>();
    m.clearOnReset(held);
    const keyOf = (root: number): number => (m.current + 1) * 0x40_0000 + root;
    const change = (root: number, by: number): void => {
      // whoever has zapped a root puts the reference of the MMU, which he never got
      held.set(keyOf(root), Math.max(0, (held.get(keyOf(root)) ?? 0) + by));
    };
    roots.listeners.push({ got: (root) => change(root, 1), dropped: (root) => change(root, -1) });
    listeners.push({
      yielding: ({ root }) => {
        report.exercised();
        if ((held.get(keyOf(root)) ?? 0) > 0) return;
        report.violated(`a reference to root ${tableName(root)}`, 'the walk yields without one');
      },
    });
  },
};

const K30: KvmRule = {
  id: 'K30',
  level: 'required',
  statement: 'A walk yields only if its caller lets it: not where nobody may wait.',
  source:
    'Linux, tdp_mmu.c: tdp_mmu_zap_leafs() (can_yield); kvm_main.c: MMU_NOTIFIER_RANGE_BLOCKABLE',
  versions: ['*'],
  watch: ({ listeners, m }, report) => {
    const mayNotWait = new PerActor(m);
    listeners.push({
      promised: (what) => {
        if (what !== 'unmap-atomic') return;
        mayNotWait.mine = 1;
        report.exercised();
      },
      kept: (what) => {
        if (what === 'unmap-atomic') mayNotWait.mine = 0;
      },
      yielding: (walk) => {
        if (mayNotWait.mine !== 0)
          report.violated(
            'no yield, as the notifier may not wait',
            `it yields at GFN ${walk.nextGfn}`,
          );
      },
    });
  },
};

export default [K27, K28, K29, K30] satisfies readonly KvmRule[];
