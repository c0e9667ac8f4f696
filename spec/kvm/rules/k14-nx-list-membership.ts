import { pageNumberOf } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { DIRECT_TABLE, LINKED } from '../tables.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K14',
  level: 'required',
  statement:
    'A table enters the list of possible NX huge pages after it is linked, and only while its ' +
    'nx_huge_page_disallowed mark is set under tdp_mmu_pages_lock; an actor that unlinks it ' +
    'clears the mark and removes it from the list if it is there.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_map(), tdp_mmu_unlink_sp(); commit ' +
    '21a36ac6b6c7',
  intent: 'Otherwise the NX recovery worker finds a freed table in the list, and uses it.',
  hint:
    'Look at the check of nx_huge_page_disallowed and the insertion: both belong in one section ' +
    'of tdp_mmu_pages_lock, and so do clearing and removal.',
  versions: ['*'],
  watch: ({ m, pages, pagesLock, nx, tables }, report) => {
    /** The table whose mark the actor has read under the lock, until it adds a table. */
    const asked = new PerActor(m, -1);
    nx.listeners.push({
      asked: (table) => {
        asked.mine = pagesLock.holds(m.current) ? table : -1;
      },
      added: (table) => {
        report.exercised();
        const hasRead = asked.mine === table;
        const name = tableName(table);
        asked.mine = -1;
        if (!hasRead)
          report.violated(`the mark of table ${name} read under tdp_mmu_pages_lock`, 'it was not');
        if (!pages.isLive(table))
          report.violated(`table ${name} allocated when it enters the list`, 'it is freed');
        else if (!nx.isMarked(table))
          report.violated(`table ${name} marked`, 'the mark was cleared meanwhile');
        else if (tables.stageOf(table) < LINKED)
          report.violated(`table ${name} linked first`, 'it is not linked');
      },
      removedUnlisted: (table) =>
        report.violated(`table ${tableName(table)} in the list before it is removed`, 'it is not'),
    });
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !nx.isListed(page)) return;
      report.violated(
        `table ${tableName(page)} removed from the list before it is freed`,
        'it is listed',
      );
    });
  },
} satisfies KvmRule;
