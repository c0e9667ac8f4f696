/**
 * K13 to K16, K18: a table is complete before it is linked, counted while it is, and emptied before
 * it is freed.
 */
import { entryAt } from '../../machine/levels.ts';
import { pageNumberOf } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { permits } from '../kvm.ts';
import {
  describeSpte,
  FROZEN,
  isLeafSpte,
  isPresent,
  kindOfSpte,
  pageOfSpte,
  TABLE,
  tableSpte,
} from '../spte.ts';
import { DIRECT_TABLE, LINKED, READY, UNLINKED } from '../tables.ts';
import { Faults, isRoot, isShared, tableName } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

const K13: KvmRule = {
  id: 'K13',
  level: 'required',
  statement: 'A table is complete and accounted before an entry points to it.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_map(), tdp_mmu_split_huge_page(); recordings, invariant 6',
  versions: ['*'],
  watch: ({ m, pages, tables }, report) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(after) !== TABLE || before === after) return;
      report.exercised();
      const child = pageOfSpte(after);
      if (tables.stageOf(child) !== READY) {
        report.violated(
          `table ${tableName(child)} accounted, and never linked before`,
          STAGES[tables.stageOf(child)],
        );
      }
      if (!isLeafSpte(before)) return;
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(child, i));
        if (
          isLeafSpte(spte) &&
          pageOfSpte(spte) === pageOfSpte(before) + i * tables.span(tables.levelOf(child))
        )
          continue;
        report.violated(
          `every page of ${describeSpte(before)} in the table that replaces it`,
          describeSpte(spte),
        );
      }
    });
  },
};

const STAGES = [
  'it is not ready',
  'ready',
  'it is linked',
  'it was linked and is on its way to be freed',
] as const;

const K14: KvmRule = {
  id: 'K14',
  level: 'required',
  statement:
    'A table enters the list of possible huge pages after it was linked, and only while its mark says that it belongs ' +
    'there; whoever unlinks it clears the mark and takes out what is in.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_map(), tdp_mmu_unlink_sp(); commit 21a36ac6b6c7',
  versions: ['*'],
  watch: ({ m, pages, pagesLock, nx, tables }, report) => {
    /** The table whose mark the current actor has looked at under the lock. */
    const asked = new PerActor(m, -1);
    nx.listeners.push({
      asked: (table) => {
        asked.mine = pagesLock.holds(m.current) ? table : -1;
      },
      added: (table) => {
        report.exercised();
        const hasLooked = asked.mine === table;
        asked.mine = -1;
        if (!hasLooked)
          report.violated(
            `the mark of table ${tableName(table)} looked at under the lock`,
            'it was not',
          );
        if (!pages.isLive(table))
          report.violated(
            `table ${tableName(table)} in use when it enters the list`,
            'it is freed',
          );
        else if (!nx.isMarked(table))
          report.violated(`table ${tableName(table)} marked`, 'the mark was cleared meanwhile');
        else if (tables.stageOf(table) < LINKED)
          report.violated(`table ${tableName(table)} linked first`, 'it is not yet');
      },
      removedInVain: (table) =>
        report.violated(`table ${tableName(table)} in the list it is taken out of`, 'it is not'),
    });
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !nx.isListed(page)) return;
      report.violated(`table ${tableName(page)} out of the list before it is freed`, 'it is in');
    });
  },
};

const K15: KvmRule = {
  id: 'K15',
  level: 'required',
  statement: 'A leaf that permits the access is left as it is: the fault was spurious.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_map_handle_target_level()',
  versions: ['*'],
  watch: (kvm, report) => {
    const { tables } = kvm;
    const faults = new Faults(kvm);
    tables.readers.push((_table, _index, spte) => {
      if (faults.mine !== null && permits(spte, faults.mine)) report.exercised();
    });
    tables.listeners.push((table, index, before, after) => {
      if (
        faults.mine === null ||
        before === after ||
        !permits(before, faults.mine) ||
        !isLeafSpte(after)
      )
        return;
      if (!isShared(tables, table)) return;
      report.violated(
        `entry ${entryAt(tables.gfnOf(table, index), tables.levelOf(table))} left alone`,
        `${describeSpte(before)} -> ${describeSpte(after)}`,
      );
    });
  },
};

const K16: KvmRule = {
  id: 'K16',
  level: 'required',
  statement:
    'Whoever unlinks a table makes sure that nobody can map anything in it any more: when it is freed no entry is ' +
    'present, and with mmu_lock held for read every entry was frozen.',
  source: 'Linux, tdp_mmu.c: handle_removed_pt(); recordings, invariants 5 and 6',
  versions: ['*'],
  watch: ({ m, mmuLock, pages, tables }, report) => {
    const underRead = new Map<number, boolean>();
    m.clearOnReset(underRead);
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(before) !== TABLE || before === after) return;
      underRead.set(pageOfSpte(before), mmuLock.heldForRead(m.current));
    });
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || tables.stageOf(page) !== UNLINKED)
        return;
      report.exercised();
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(page, i));
        const gfn = tables.gfnOf(page, i);
        if (isPresent(spte))
          report.violated(
            `nothing present in table ${tableName(page)} (GFN ${gfn})`,
            describeSpte(spte),
          );
        else if (underRead.get(page) === true && spte !== FROZEN) {
          report.violated(`GFN ${gfn} frozen in table ${tableName(page)}`, describeSpte(spte));
        }
      }
    });
  },
};

const K18: KvmRule = {
  id: 'K18',
  level: 'required',
  statement: 'NX recovery takes a table back only through the entry that still points to it.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_zap_possible_nx_huge_page()',
  versions: ['*'],
  watch: ({ m, nx, tables }, report) => {
    const target = new PerActor(m, -1);
    nx.listeners.push({
      recovering: (table) => {
        target.mine = table;
        report.exercised();
      },
      recovered: () => {
        target.mine = -1;
      },
    });
    tables.listeners.push((table, _index, before, after) => {
      if (target.mine < 0 || before === after || tables.stageOf(table) === UNLINKED) return;
      if (before === tableSpte(target.mine) || isRoot(tables, target.mine)) return;
      report.violated(
        `the entry that points to table ${tableName(target.mine)}`,
        `one that holds ${describeSpte(before)}`,
      );
    });
  },
};

export default [K13, K14, K15, K16, K18] satisfies readonly KvmRule[];
