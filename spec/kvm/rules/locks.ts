/** K1 to K7: who may look at tables and change them, holding what. */
import { entryAt } from '../../machine/levels.ts';
import { pageNumberOf, type PageRef } from '../../machine/pages.ts';
import { PerActor } from '../../machine/per-actor.ts';
import type { RuleText } from '../../machine/rule.ts';
import { OUTSIDE_GUEST } from '../../machine/vcpu.ts';
import type { Kvm } from '../kvm.ts';
import {
  ACCESS_TRACKED,
  ACCESSED,
  describeSpte,
  DIRTY,
  FROZEN,
  hasVolatileBits,
  isLeafSpte,
  kindOfSpte,
  MMU_WRITABLE,
  pageOfSpte,
  TABLE,
  WRITABLE,
  type Spte,
} from '../spte.ts';
import { CLEARED, COMPARED, DIRECT_TABLE, EXCHANGED, LINKED, STORED, UNLINKED } from '../tables.ts';
import { isRoot, isShared, tableName } from './ghosts.ts';
import type { KvmRule } from './rule.ts';

/** What lockless writers change: fast page faults give W back, aging takes A. */
const LOCKLESS_BITS = WRITABLE | DIRTY | ACCESSED | ACCESS_TRACKED;

const isLocklessChange = (before: Spte, after: Spte): boolean =>
  isLeafSpte(before) &&
  isLeafSpte(after) &&
  ((before ^ after) & ~LOCKLESS_BITS) === 0 &&
  ((after & ~before & WRITABLE) === 0 || (before & MMU_WRITABLE) !== 0);

/** Aging came between, which nobody waits for: that a page was used may be lost (K1). */
const isAged = (before: Spte, after: Spte): boolean =>
  isLeafSpte(before) &&
  isLeafSpte(after) &&
  ((before ^ after) & ~(ACCESSED | ACCESS_TRACKED | WRITABLE)) === 0 &&
  ((before ^ after) === ACCESSED || (after & ACCESS_TRACKED) !== 0);

const K1: KvmRule = {
  id: 'K1',
  level: 'required',
  statement:
    'An entry is written with mmu_lock held, but for two writers of a leaf that goes on mapping its page: a fast page ' +
    'fault, which gives back what only logging or aging took, and aging. They write atomically, to direct tables only.',
  source:
    'Linux, Documentation/virt/kvm/locking.rst §2; tdp_mmu.c: tdp_mmu_set_spte(); recordings: aging without lock',
  versions: ['*'],
  watch: ({ m, mmuLock, shadow, tables }, report) => {
    shadow.tables.listeners.push((_table, index, before, after) => {
      if (before === after) return;
      report.exercised();
      if (mmuLock.heldForWrite(m.current)) return;
      report.violated(
        'an indirect table changed with mmu_lock held for write',
        `entry ${index}: ${describeSpte(before)} -> ${describeSpte(after)} without: it may be another GFN's by now`,
      );
    });
    tables.listeners.push((table, index, before, after, how) => {
      if (!isShared(tables, table) || before === after) return;
      report.exercised();
      if (mmuLock.holds(m.current)) return;
      if ((how === COMPARED || how === CLEARED) && isLocklessChange(before, after)) return;
      report.violated(
        `entry ${entryAt(tables.gfnOf(table, index), tables.levelOf(table))} written with mmu_lock held`,
        `${describeSpte(before)} -> ${describeSpte(after)} without it`,
      );
    });
  },
};

/** What K2 says, of ordinary VMs and of TDs. */
export const K2_TEXT = {
  id: 'K2',
  level: 'required',
  statement:
    'With mmu_lock held for read an entry changes by compare-and-exchange, and who loses looks at it again before the ' +
    'next attempt; only entries of a table that is no longer linked are exchanged, and only for FROZEN.',
  source: 'Linux, tdp_mmu.c: __tdp_mmu_set_spte_atomic(), handle_removed_pt()',
  versions: ['*'],
} satisfies RuleText;

const K2: KvmRule = {
  ...K2_TEXT,
  watch: ({ m, mmuLock, tables }, report) => {
    /**
     * The entry for which the current actor has lost and which it has not looked at since, plus
     * one.
     */
    const lost = new PerActor(m);
    const keyOf = (table: number, index: number): number =>
      pageNumberOf(table) * tables.fanout + index + 1;
    tables.readers.push((table, index) => {
      if (lost.mine === keyOf(table, index)) lost.mine = 0;
    });
    tables.losers.push((table, index) => {
      if (lost.mine === keyOf(table, index))
        report.violated('the entry looked at again after a lost exchange', 'another attempt');
      lost.mine = keyOf(table, index);
    });
    tables.listeners.push((table, _index, before, after, how) => {
      if (!isShared(tables, table) || !mmuLock.heldForRead(m.current)) return;
      report.exercised();
      if (
        how === COMPARED ||
        (how === EXCHANGED && after === FROZEN && tables.stageOf(table) === UNLINKED)
      )
        return;
      if (how === CLEARED && isLocklessChange(before, after)) return;
      report.violated(
        'a compare-and-exchange',
        `${describeSpte(before)} -> ${describeSpte(after)} whatever was there`,
      );
    });
  },
};

const K3: KvmRule = {
  id: 'K3',
  level: 'required',
  statement:
    'An entry is written by a plain store only where nobody but aging can write without mmu_lock; else by an exchange, ' +
    'whose result says what is gone.',
  source: 'Linux, tdp_mmu.c: handle_removed_pt(); spte.c: spte_needs_atomic_update(); locking.rst',
  versions: ['*'],
  watch: (kvm, report) => {
    const { tables, roots } = kvm;
    tables.listeners.push((table, _index, before, _after, how, believed) => {
      if (!isShared(tables, table)) return;
      report.exercised();
      if (how !== STORED) return;
      if (before !== believed && !isAged(believed, before)) {
        report.violated(
          `a store over ${describeSpte(believed)}, as read before`,
          describeSpte(before),
        );
      } else if (hasVolatileBits(before, roots.adDisabled(tables.rootOf(table)))) {
        report.violated(
          'an exchange, as the entry has bits that others set',
          `a store over ${describeSpte(before)}`,
        );
      }
    });
  },
};

const K4: KvmRule = {
  id: 'K4',
  level: 'required',
  statement:
    'The lists of roots and of possible huge pages change under tdp_mmu_pages_lock, inside mmu_lock.',
  source: 'Linux, tdp_mmu.c: kvm_tdp_mmu_alloc_root(), tdp_mmu_unlink_sp(); locking.rst §1',
  versions: ['*'],
  watch: ({ m, mmuLock, pagesLock, roots, nx }, report) => {
    const changed = (): void => {
      report.exercised();
      if (!pagesLock.holds(m.current))
        report.violated('tdp_mmu_pages_lock held', 'the list changes without it');
      else if (!mmuLock.holds(m.current))
        report.violated('mmu_lock held', 'only tdp_mmu_pages_lock is');
    };
    roots.listeners.push({ linked: changed, unlinked: changed });
    nx.listeners.push({ added: changed, removed: changed, removedInVain: changed });
  },
};

const K5: KvmRule = {
  id: 'K5',
  level: 'required',
  statement:
    'Tables are looked at inside an RCU read section (or with mmu_lock held for write), and one that was linked is ' +
    'freed by an RCU callback, queued when no entry points to it any more. The hardware reads without a section: ' +
    'whoever unlinked the table, of a valid root, flushes before it leaves its own.',
  source:
    'Linux, tdp_mmu.c: tdp_mmu_free_sp_rcu_callback(), handle_removed_pt(); commit 35ef80eb29ab',
  versions: ['*'],
  watch: ({ m, mmuLock, pages, rcu, roots, tables, vcpus }, report) => {
    const looked = (table: number): void => {
      if (!isShared(tables, table)) return;
      report.exercised();
      if (rcu.holds(m.current) || mmuLock.heldForWrite(m.current)) return;
      report.violated(
        `table ${tableName(table)} looked at inside an RCU read section`,
        'outside one',
      );
    };
    tables.readers.push(looked);
    tables.listeners.push(looked);
    /** The tables that each actor has unlinked in its present section. */
    const unlinked = new Map<number, PageRef[]>();
    m.clearOnReset(unlinked);
    tables.listeners.push((table, _index, before, after) => {
      if (kindOfSpte(before) !== TABLE || before === after) return;
      // nobody is in the guest with an invalid root (K23); entries that stem from one serve no walk
      if (roots.isInvalid(tables.rootOf(table))) return;
      const mine = unlinked.get(m.current);
      if (mine === undefined) unlinked.set(m.current, [pageOfSpte(before)]);
      else mine.push(pageOfSpte(before));
    });
    rcu.onLeave.push(() => {
      for (const table of unlinked.get(m.current) ?? []) {
        report.exercised();
        for (const { index, vcpu, tlb } of vcpus) {
          if (vcpu.mode() === OUTSIDE_GUEST || !tlb.tables.pointsTo(table)) continue;
          report.violated(
            `no vCPU in the guest walks table ${tableName(table)} when who unlinked it leaves its read section`,
            `vcpu${index} may`,
          );
        }
      }
      unlinked.delete(m.current);
    });
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !isShared(tables, page)) return;
      report.exercised();
      if (!rcu.isCallback(m.current))
        report.violated(`table ${tableName(page)} freed by an RCU callback`, 'at once');
      else if (tables.stageOf(page) === LINKED) {
        report.violated(
          `table ${tableName(page)} freed when nothing points to it`,
          'an entry does',
        );
      }
    });
  },
};

const K6: KvmRule = {
  id: 'K6',
  level: 'required',
  statement:
    'Nothing found in a table is relied on once mmu_lock was dropped: the next table is again reached from its root.',
  source: 'Linux, tdp_mmu.c: tdp_mmu_iter_cond_resched()',
  versions: ['*'],
  watch: ({ m, memory, mmuLock, nx, tables }, report) => {
    /**
     * For each actor and table: when the actor learned of it, as a number that grows with every
     * change of mmu_lock.
     */
    const learned = new Map<number, number>();
    m.clearOnReset(learned);
    const era = new PerActor(m);
    const keyOf = (table: number): number => (m.current + 1) * memory.pages + pageNumberOf(table);
    const next = (): void => {
      era.mine += 1;
    };
    const learn = (spte: Spte): void => {
      if (kindOfSpte(spte) === TABLE) learned.set(keyOf(pageOfSpte(spte)), era.mine);
    };
    const look = (table: number): void => {
      if (!mmuLock.holds(m.current) || !isShared(tables, table) || isRoot(tables, table)) return;
      report.exercised();
      if (learned.get(keyOf(table)) === era.mine) return;
      report.violated(
        `table ${tableName(table)} reached from its root since mmu_lock was taken`,
        'known from before',
      );
    };
    mmuLock.listeners.push({ acquired: next, releasing: next });
    nx.listeners.push({
      recovering: (table) => learned.set(keyOf(tables.parentOf(table)), era.mine),
    });
    tables.readers.push((table, _index, spte) => {
      look(table);
      learn(spte);
    });
    tables.listeners.push((table, _index, before, after) => {
      look(table);
      learn(before);
      learn(after);
    });
  },
};

const K7: KvmRule = {
  id: 'K7',
  level: 'required',
  statement:
    "What needs mmu_lock held for write, as the shadow MMU's reclaim and its unsync counts do, has it.",
  source: 'Linux, commits 47b0c2e4c220 and ce25681d59ff',
  versions: ['*'],
  watch: ({ m, mmuLock, shadow }: Kvm, report) => {
    shadow.listeners.push({
      used: (what) => {
        report.exercised();
        if (!mmuLock.heldForWrite(m.current))
          report.violated('mmu_lock held for write', `${what} without`);
      },
    });
  },
};

export default [K1, K2, K3, K4, K5, K6, K7] satisfies readonly KvmRule[];
