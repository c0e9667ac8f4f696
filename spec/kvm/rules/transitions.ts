/** K8 to K12, K17, K19: what an SPTE may become. */
import { entryAt } from '../../machine/levels.ts';
import { pageNumberOf } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { RET_RETRY } from '../kvm.ts';
import { NO_MEMSLOT } from '../memslots.ts';
import {
  describeSpte,
  FROZEN,
  isLeafSpte,
  isNonPresentSpte,
  isPresent,
  kindOfSpte,
  MMIO,
  MMU_WRITABLE,
  pageOfSpte,
  TABLE,
  WRITABLE,
} from '../spte.ts';
import { Faults, hostLevel, isShared, leafAt } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

const K8: KvmRule = {
  id: 'K8',
  level: 'required',
  statement:
    'A leaf that is present never becomes a leaf of another page: it is taken away and flushed in between.',
  source: 'Linux, tdp_mmu.c: handle_changed_spte(); recordings, invariant 3',
  versions: ['*'],
  watch: ({ tables }, report) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (!isLeafSpte(before) || !isLeafSpte(after)) return;
      report.exercised();
      if (pageOfSpte(before) === pageOfSpte(after)) return;
      report.violated(
        `${describeSpte(before)} goes away first`,
        `it becomes ${describeSpte(after)}`,
      );
    });
  },
};

const K9: KvmRule = {
  id: 'K9',
  level: 'required',
  statement:
    'An entry that is not present is empty, FROZEN or MMIO; it becomes another such entry only from or to MMIO, or by ' +
    'being frozen.',
  source:
    'Linux, tdp_mmu.c: handle_changed_spte(); recordings: MMIO of one generation replaces that of another',
  versions: ['*'],
  watch: ({ tables }, report) => {
    tables.listeners.push((table, _index, before, after) => {
      if (!isShared(tables, table) || isPresent(after) || before === after) return;
      report.exercised();
      const isLegal =
        isPresent(before) ||
        kindOfSpte(before) === MMIO ||
        kindOfSpte(after) === MMIO ||
        after === FROZEN ||
        before === FROZEN;
      if (!isNonPresentSpte(after))
        report.violated('empty, FROZEN or MMIO', `bits of ${describeSpte(before)} changed`);
      else if (!isLegal)
        report.violated(`${describeSpte(before)} stays`, `it becomes ${describeSpte(after)}`);
    });
  },
};

const K10: KvmRule = {
  id: 'K10',
  level: 'required',
  statement: 'A FROZEN entry belongs to who froze it: nobody else changes it.',
  source:
    'Linux, tdp_mmu.c: __tdp_mmu_set_spte_atomic(), tdp_mmu_set_spte(); recordings, invariant 5',
  versions: ['*'],
  watch: ({ m, tables }, report) => {
    const owners = new Map<number, number>();
    m.clearOnReset(owners);
    const keyOf = (table: number, index: number): number =>
      pageNumberOf(table) * tables.fanout + index;
    tables.listeners.push((table, index, before, after) => {
      if (before === FROZEN && after !== FROZEN && owners.get(keyOf(table, index)) !== m.current) {
        report.violated(
          `entry ${entryAt(tables.gfnOf(table, index), tables.levelOf(table))} left FROZEN`,
          describeSpte(after),
        );
      }
      if (after !== FROZEN || before === FROZEN) return;
      report.exercised();
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
  watch: (kvm, report) => {
    const { m, mmuLock, tables } = kvm;
    const faults = new Faults(kvm);
    const met = new PerActor(m);
    tables.readers.push((_table, _index, spte) => {
      if (spte !== FROZEN || faults.mine === null || !mmuLock.holds(m.current)) return;
      met.mine = 1;
      report.exercised();
    });
    tables.listeners.push((table, _index, before, after) => {
      if (
        met.mine === 0 ||
        !mmuLock.holds(m.current) ||
        !isShared(tables, table) ||
        before === after
      )
        return;
      report.violated(
        'the fault goes away when it has met FROZEN',
        `it writes ${describeSpte(after)}`,
      );
    });
    mmuLock.listeners.push({
      acquired: () => {
        met.mine = 0;
      },
    });
    kvm.listeners.push({
      faultBegan: () => {
        met.mine = 0;
      },
      faultEnded: (_vcpu, _fault, result) => {
        if (met.mine !== 0 && result !== RET_RETRY)
          report.violated('the fault is taken again', 'it says that it is done');
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
  source:
    'Linux, tdp_mmu.c: kvm_tdp_mmu_map(); mmu.c: host_pfn_mapping_level() (valid only under mmu_lock)',
  versions: ['*'],
  watch: (kvm, report) => {
    const { attributes, m, mmuLock, primary, roots, slots, tables } = kvm;
    const asked = new PerActor(m);
    const levelAsked = (): void => {
      asked.mine = mmuLock.holds(m.current) ? 1 : 0;
    };
    for (const memory of [primary, attributes.memory]) memory.listeners.push({ levelAsked });
    mmuLock.listeners.push({
      releasing: () => {
        asked.mine = 0;
      },
    });
    tables.listeners.push((table, index, before, after) => {
      const level = tables.levelOf(table);
      if (!isShared(tables, table) || !isLeafSpte(after) || isLeafSpte(before)) return;
      report.exercised();
      if (level === 0) return;
      if (asked.mine === 0)
        report.violated('the level looked up under mmu_lock', 'it is from before');
      const gfn = tables.gfnOf(table, index);
      const asId = roots.asIdOf(tables.rootOf(table));
      const slot = slots.find(asId, gfn);
      const host = hostLevel(kvm, asId, gfn, pageOfSpte(after));
      const within =
        slot !== NO_MEMSLOT &&
        gfn + tables.span(level) <= slots.gfnOf(slot) + slots.place(slot).pages;
      if (host >= level && within) return;
      report.violated(
        `entry ${entryAt(gfn, level)} only where the host maps that much`,
        `the host maps level ${host}`,
      );
    });
  },
};

const K17: KvmRule = {
  id: 'K17',
  level: 'required',
  statement: 'An entry that points to a table never comes to point to another: tables do not move.',
  source: 'Linux, tdp_mmu.c: handle_changed_spte(); recordings, invariant 3',
  versions: ['*'],
  watch: ({ tables }, report) => {
    tables.listeners.push((_table, _index, before, after) => {
      if (kindOfSpte(before) !== TABLE || before === after) return;
      report.exercised();
      if (kindOfSpte(after) === TABLE)
        report.violated(`${describeSpte(before)} goes away first`, describeSpte(after));
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
  watch: (kvm, report) => {
    const { m, roots, tables, tracked } = kvm;
    kvm.listeners.push({
      kept: (what, asId, gfn) => {
        if (what !== 'track') return;
        report.exercised();
        for (const root of roots.all()) {
          if (roots.isInvalid(root) || roots.asIdOf(root) !== asId) continue;
          const leaf = leafAt(kvm, root, gfn);
          if ((leaf & (WRITABLE | MMU_WRITABLE)) === 0) continue;
          report.violated(`GFN ${gfn} neither writable nor MMU-writable`, describeSpte(leaf));
        }
      },
    });
    tables.listeners.push((table, index, before, after) => {
      const gfn = tables.gfnOf(table, index);
      const isGiven =
        isLeafSpte(after) &&
        (after & WRITABLE) !== 0 &&
        !(isLeafSpte(before) && (before & WRITABLE) !== 0);
      if (!isGiven || m.peek(tracked + gfn) === 0 || kvm.mmuLock.holds(m.current)) return;
      const root = tables.rootOf(table);
      if (
        !isShared(tables, table) ||
        roots.isInvalid(root) ||
        roots.asIdOf(root) !== 0 ||
        tables.levelOf(table) > 0
      )
        return;
      report.violated(`GFN ${gfn}, which is shadowed, not writable`, describeSpte(after));
    });
  },
};

export default [K8, K9, K10, K11, K12, K17, K19] satisfies readonly KvmRule[];
