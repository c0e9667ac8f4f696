import { entryAt } from '../../machine/levels.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { isRoot } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K28',
  level: 'required',
  statement: 'After a yield a walk restarts at its root, at the GFN that it had reached.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_iter.c: tdp_iter_restart(); commit 3a0f64de479c',
  intent: 'A walk that advances past that GFN skips entries, which then stay mapped.',
  hint:
    'Look at the caller after the yield: it has to continue its loop at once, so that ' +
    'tdp_iter_next() restarts instead of advancing.',
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
} satisfies KvmRule;
