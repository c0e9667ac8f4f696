import { pageNumberOf } from '../../machine/pages.ts';
import { describeSpte, FROZEN, isPresent, kindOfSpte, pageOfSpte, TABLE } from '../spte.ts';
import { DIRECT_TABLE, UNLINKED } from '../tables.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K16',
  level: 'required',
  statement:
    'An actor that unlinks a table makes it unmappable: when the table is freed no SPTE in it is ' +
    'present, and if it was unlinked with mmu_lock held for read, every SPTE is FROZEN.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: handle_removed_pt()',
  intent:
    'A fault that still walks the unlinked table would install a page there: a mapping that no ' +
    'later zap finds.',
  hint:
    'Look at handle_removed_pt(): it has to visit every entry, and to write FROZEN unless ' +
    'mmu_lock is held for write.',
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
} satisfies KvmRule;
