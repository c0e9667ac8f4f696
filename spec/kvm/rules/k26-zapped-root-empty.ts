import { pageNumberOf } from '../../machine/pages.ts';
import { describeSpte, isPresent } from '../spte.ts';
import { DIRECT_TABLE } from '../tables.ts';
import { isRoot, tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K26',
  level: 'required',
  statement:
    'Zapping all of a root removes leaves and tables alike: the root is empty when it is freed.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_zap_root(); commit 524a1e4e381f',
  intent: 'A table that is still linked when its root is freed is leaked, with all that it maps.',
  hint:
    'Look at the range and the lowest level of the zap: non-leaf SPTEs that reach beyond a ' +
    'bound, or lie at the root level, must not be skipped.',
  versions: ['*'],
  watch: ({ m, pages, tables }, report) => {
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !isRoot(tables, page)) return;
      report.exercised();
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(page, i));
        if (isPresent(spte))
          report.violated(`root ${tableName(page)} empty`, `entry ${i} is ${describeSpte(spte)}`);
      }
    });
  },
} satisfies KvmRule;
