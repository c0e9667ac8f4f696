/** K8 to K19: from what to what entries go, and what comes before and after. */
import { PerActor } from '../../machine/per-actor.ts';
import { pageNumberOf } from '../../machine/pages.ts';
import { permits, RET_RETRY } from '../kvm.ts';
import { NO_MEMSLOT } from '../memslots.ts';
import {
  describeSpte, FROZEN, isLeafSpte, isNonPresentSpte, isPresent, kindOfSpte, MMIO, MMU_WRITABLE, pageOfSpte, TABLE,
  tableSpte, WRITABLE,
} from '../spte.ts';
import { DIRECT_TABLE, LINKED, READY, UNLINKED } from '../tables.ts';
import { Faults, hostLevel, isRoot, isShared, leafAt, tableName } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

const K8: KvmRule = {
  id: 'K8',
  level: 'required',
  statement: 'A leaf that is present never becomes a leaf of another page: it is taken away and flushed in between.',
  source: 'Linux, tdp_mmu.c: handle_changed_spte(); recordings, invariant 3',
  versions: ['*'],
  watch: ({ tables }, judge) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (!isLeafSpte(before) || !isLeafSpte(after)) return;
      judge.exercised();
      if (pageOfSpte(before) === pageOfSpte(after)) return;
      judge.violated(`${describeSpte(before)} goes away first`, `it becomes ${describeSpte(after)}`);
    });
  },
};

const K9: KvmRule = {
  id: 'K9',
  level: 'required',
  statement:
    'An entry that is not present is empty, FROZEN or MMIO; it becomes another such entry only from or to MMIO, or by ' +
    'being frozen.',
  source: 'Linux, tdp_mmu.c: handle_changed_spte(); recordings: MMIO of one generation replaces that of another',
  versions: ['*'],
  watch: ({ tables }, judge) => {
    tables.listeners.push((table, _index, before, after) => {
      if (!isShared(tables, table) || isPresent(after) || before === after) return;
      judge.exercised();
      const isLegal = isPresent(before) || kindOfSpte(before) === MMIO || kindOfSpte(after) === MMIO || after === FROZEN ||
        before === FROZEN;
      if (!isNonPresentSpte(after)) judge.violated('empty, FROZEN or MMIO', `bits of ${describeSpte(before)} changed`);
      else if (!isLegal) judge.violated(`${describeSpte(before)} stays`, `it becomes ${describeSpte(after)}`);
    });
  },
};

const K10: KvmRule = {
  id: 'K10',
  level: 'required',
  statement: 'A FROZEN entry belongs to who froze it: nobody else changes it.',
  source: 'Linux, tdp_mmu.c: __tdp_mmu_set_spte_atomic(), tdp_mmu_set_spte(); recordings, invariant 5',
  versions: ['*'],
  watch: ({ m, tables }, judge) => {
    const owners = new Map<number, number>();
    m.clearOnReset(owners);
    const keyOf = (table: number, index: number): number => pageNumberOf(table) * tables.fanout + index;
    tables.listeners.push((table, index, before, after) => {
      if (before === FROZEN && after !== FROZEN && owners.get(keyOf(table, index)) !== m.current) {
        judge.violated(`entry ${tables.gfnOf(table, index)}@L${tables.levelOf(table)} left FROZEN`, describeSpte(after));
      }
      if (after !== FROZEN || before === FROZEN) return;
      judge.exercised();
      owners.set(keyOf(table, index), m.current);
    });
  },
};

const K11: KvmRule = {
  id: 'K11',
  level: 'stochastic',
  statement: 'A fault that meets FROZEN on its way maps nothing and is taken again.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_map()',
  versions: ['*'],
  watch: (kvm, judge) => {
    const { m, mmuLock, tables } = kvm;
    const faults = new Faults(kvm);
    const met = new PerActor(m);
    tables.readers.push((_table, _index, spte) => {
      if (spte !== FROZEN || faults.mine === null || !mmuLock.holds(m.current)) return;
      met.mine = 1;
      judge.exercised();
    });
    tables.listeners.push((table, _index, before, after) => {
      if (met.mine === 0 || !mmuLock.holds(m.current) || !isShared(tables, table) || before === after) return;
      judge.violated('the fault goes away when it has met FROZEN', `it writes ${describeSpte(after)}`);
    });
    mmuLock.listeners.push({ acquired: () => { met.mine = 0; } });
    kvm.listeners.push({
      faultBegan: () => { met.mine = 0; },
      faultEnded: (_vcpu, _fault, result) => {
        if (met.mine !== 0 && result !== RET_RETRY) judge.violated('the fault is taken again', 'it says that it is done');
      },
    });
  },
};

const K12: KvmRule = {
  id: 'K12',
  level: 'required',
  statement:
    'A leaf is installed at the level at which the host maps the page, or below, as looked up under mmu_lock, and ' +
    'within its slot.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_map(); mmu.c: host_pfn_mapping_level() (valid only under mmu_lock)',
  versions: ['*'],
  watch: (kvm, judge) => {
    const { attributes, m, mmuLock, primary, roots, slots, tables } = kvm;
    const asked = new PerActor(m);
    const levelAsked = (): void => { asked.mine = mmuLock.holds(m.current) ? 1 : 0; };
    for (const memory of [primary, attributes.memory]) memory.listeners.push({ levelAsked });
    mmuLock.listeners.push({ releasing: () => { asked.mine = 0; } });
    tables.listeners.push((table, index, before, after) => {
      const level = tables.levelOf(table);
      if (!isShared(tables, table) || !isLeafSpte(after) || isLeafSpte(before)) return;
      judge.exercised();
      if (level === 0) return;
      if (asked.mine === 0) judge.violated('the level looked up under mmu_lock', 'it is from before');
      const gfn = tables.gfnOf(table, index);
      const asId = roots.asIdOf(tables.rootOf(table));
      const slot = slots.find(asId, gfn);
      const host = hostLevel(kvm, asId, gfn, pageOfSpte(after));
      const within = slot !== NO_MEMSLOT && gfn + tables.span(level) <= slots.gfnOf(slot) + slots.place(slot).pages;
      if (host >= level && within) return;
      judge.violated(`entry ${gfn}@L${level} only where the host maps that much`, `the host maps level ${host}`);
    });
  },
};

const K13: KvmRule = {
  id: 'K13',
  level: 'required',
  statement: 'A table is complete and accounted before an entry points to it.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_map(), tdp_mmu_split_huge_page(); recordings, invariant 6',
  versions: ['*'],
  watch: ({ m, pages, tables }, judge) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(after) !== TABLE || before === after) return;
      judge.exercised();
      const child = pageOfSpte(after);
      if (tables.stageOf(child) !== READY) {
        judge.violated(`table ${tableName(child)} accounted, and never linked before`, STAGES[tables.stageOf(child)]);
      }
      if (!isLeafSpte(before)) return;
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(child, i));
        if (isLeafSpte(spte) && pageOfSpte(spte) === pageOfSpte(before) + i * tables.span(tables.levelOf(child))) continue;
        judge.violated(`every page of ${describeSpte(before)} in the table that replaces it`, describeSpte(spte));
      }
    });
  },
};

const STAGES = ['it is not ready', 'ready', 'it is linked', 'it was linked and is on its way to be freed'] as const;

const K14: KvmRule = {
  id: 'K14',
  level: 'required',
  statement:
    'A table enters the list of possible huge pages after it was linked, and only while its mark says that it belongs ' +
    'there; whoever unlinks it clears the mark and takes out what is in.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_map(), tdp_mmu_unlink_sp(); commit 21a36ac6b6c7',
  versions: ['*'],
  watch: ({ m, pages, pagesLock, nx, tables }, judge) => {
    /** The table whose mark the current actor has looked at under the lock. */
    const asked = new PerActor(m, -1);
    nx.listeners.push({
      asked: (table) => { asked.mine = pagesLock.holds(m.current) ? table : -1; },
      added: (table) => {
        judge.exercised();
        const hasLooked = asked.mine === table;
        asked.mine = -1;
        if (!hasLooked) judge.violated(`the mark of table ${tableName(table)} looked at under the lock`, 'it was not');
        if (!pages.isLive(table)) judge.violated(`table ${tableName(table)} in use when it enters the list`, 'it is freed');
        else if (!nx.isMarked(table)) judge.violated(`table ${tableName(table)} marked`, 'the mark was cleared meanwhile');
        else if (tables.stageOf(table) < LINKED) judge.violated(`table ${tableName(table)} linked first`, 'it is not yet');
      },
      removedInVain: (table) => judge.violated(`table ${tableName(table)} in the list it is taken out of`, 'it is not'),
    });
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !nx.isListed(page)) return;
      judge.violated(`table ${tableName(page)} out of the list before it is freed`, 'it is in');
    });
  },
};

const K15: KvmRule = {
  id: 'K15',
  level: 'required',
  statement: 'A leaf that permits the access is left as it is: the fault was spurious.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_map_handle_target_level()',
  versions: ['*'],
  watch: (kvm, judge) => {
    const { tables } = kvm;
    const faults = new Faults(kvm);
    tables.readers.push((_table, _index, spte) => {
      if (faults.mine !== null && permits(spte, faults.mine)) judge.exercised();
    });
    tables.listeners.push((table, index, before, after) => {
      if (faults.mine === null || before === after || !permits(before, faults.mine) || !isLeafSpte(after)) return;
      if (!isShared(tables, table)) return;
      judge.violated(`entry ${tables.gfnOf(table, index)}@L${tables.levelOf(table)} left alone`,
        `${describeSpte(before)} -> ${describeSpte(after)}`);
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
  watch: ({ m, mmuLock, pages, tables }, judge) => {
    const underRead = new Map<number, boolean>();
    m.clearOnReset(underRead);
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(before) !== TABLE || before === after) return;
      underRead.set(pageOfSpte(before), mmuLock.heldForRead(m.current));
    });
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || tables.stageOf(page) !== UNLINKED) return;
      judge.exercised();
      for (let i = 0; i < tables.fanout; i++) {
        const spte = m.peek(pages.word(page, i));
        const gfn = tables.gfnOf(page, i);
        if (isPresent(spte)) judge.violated(`nothing present in table ${tableName(page)} (GFN ${gfn})`, describeSpte(spte));
        else if (underRead.get(page) === true && spte !== FROZEN) {
          judge.violated(`GFN ${gfn} frozen in table ${tableName(page)}`, describeSpte(spte));
        }
      }
    });
  },
};

const K17: KvmRule = {
  id: 'K17',
  level: 'required',
  statement: 'An entry that points to a table never comes to point to another: tables do not move.',
  source: 'Linux, tdp_mmu.c: handle_changed_spte(); recordings, invariant 3',
  versions: ['*'],
  watch: ({ tables }, judge) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(before) !== TABLE || before === after) return;
      judge.exercised();
      if (kindOfSpte(after) === TABLE) judge.violated(`${describeSpte(before)} goes away first`, describeSpte(after));
    });
  },
};

const K18: KvmRule = {
  id: 'K18',
  level: 'required',
  statement: 'NX recovery takes a table back only through the entry that still points to it.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_zap_possible_nx_huge_page()',
  versions: ['*'],
  watch: ({ m, nx, tables }, judge) => {
    const target = new PerActor(m, -1);
    nx.listeners.push({
      recovering: (table) => {
        target.mine = table;
        judge.exercised();
      },
      recovered: () => { target.mine = -1; },
    });
    tables.listeners.push((table, _index, before, after) => {
      if (target.mine < 0 || before === after || tables.stageOf(table) === UNLINKED) return;
      if (before === tableSpte(target.mine) || isRoot(tables, target.mine)) return;
      judge.violated(`the entry that points to table ${tableName(target.mine)}`, `one that holds ${describeSpte(before)}`);
    });
  },
};

const K19: KvmRule = {
  id: 'K19',
  level: 'required',
  statement:
    'A page that KVM shadows is writable through no valid root, and no fast page fault can make it so: W and ' +
    'MMU-writable are both off.',
  source: 'Linux, spte.h; commit 7c8a4742c4ab',
  versions: ['*'],
  watch: (kvm, judge) => {
    const { m, roots, tables, tracked } = kvm;
    kvm.listeners.push({
      kept: (what, asId, gfn) => {
        if (what !== 'track') return;
        judge.exercised();
        for (const root of roots.all()) {
          if (roots.isInvalid(root) || roots.asIdOf(root) !== asId) continue;
          const leaf = leafAt(kvm, root, gfn);
          if ((leaf & (WRITABLE | MMU_WRITABLE)) === 0) continue;
          judge.violated(`GFN ${gfn} neither writable nor MMU-writable`, describeSpte(leaf));
        }
      },
    });
    tables.listeners.push((table, index, before, after) => {
      const gfn = tables.gfnOf(table, index);
      const isGiven = isLeafSpte(after) && (after & WRITABLE) !== 0 && !(isLeafSpte(before) && (before & WRITABLE) !== 0);
      if (!isGiven || m.peek(tracked + gfn) === 0 || kvm.mmuLock.holds(m.current)) return;
      const root = tables.rootOf(table);
      if (!isShared(tables, table) || roots.isInvalid(root) || roots.asIdOf(root) !== 0 || tables.levelOf(table) > 0) return;
      judge.violated(`GFN ${gfn}, which is shadowed, not writable`, describeSpte(after));
    });
  },
};

export default [K8, K9, K10, K11, K12, K13, K14, K15, K16, K17, K18, K19] satisfies readonly KvmRule[];
