import { pageNumberOf, type PageRef } from '../../machine/pages.ts';
import { OUTSIDE_GUEST } from '../../machine/vcpu.ts';
import { kindOfSpte, pageOfSpte, TABLE } from '../spte.ts';
import { DIRECT_TABLE, LINKED } from '../tables.ts';
import { isReachable, tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K5',
  level: 'required',
  statement:
    'Tables are accessed inside an RCU read section or with mmu_lock held for write; a table ' +
    'that was linked is freed by an RCU callback after its entry is gone; and an actor that ' +
    'unlinks a table of a valid root flushes before it leaves its own read section.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_free_sp_rcu_callback(), handle_removed_pt(); ' +
    'commit 35ef80eb29ab',
  intent:
    'Lockless walkers and the hardware still read an unlinked table; freed too early, its page ' +
    'is walked with foreign contents.',
  hint:
    'Look at the order: unlink, flush, rcu_read_unlock(); call_rcu() only after the entry is ' +
    'gone; every walk begins with rcu_read_lock().',
  versions: ['*'],
  watch: ({ m, mmuLock, pages, rcu, roots, tables, vcpus }, report) => {
    const accessed = (table: number): void => {
      if (!isReachable(tables, table)) return;
      report.exercised();
      if (rcu.holds(m.current) || mmuLock.heldForWrite(m.current)) return;
      report.violated(
        `table ${tableName(table)} accessed inside an RCU read section`,
        'it is accessed outside one',
      );
    };
    tables.readers.push(accessed);
    tables.listeners.push(accessed);
    /** Tables that each actor has unlinked in its current read section. */
    const unlinked = new Map<number, PageRef[]>();
    m.clearOnReset(unlinked);
    tables.listeners.push((table, _index, before, after) => {
      if (kindOfSpte(before) !== TABLE || before === after) return;
      // no vCPU is in the guest with an invalid root (K23), and no walk uses entries cached from it
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
            `table ${tableName(table)} flushed before its unlinker leaves its read section`,
            `vcpu${index}, in the guest, can still walk it`,
          );
        }
      }
      unlinked.delete(m.current);
    });
    pages.onFree.push((page) => {
      if (pages.kindOf(pageNumberOf(page)) !== DIRECT_TABLE || !isReachable(tables, page)) return;
      report.exercised();
      if (!rcu.isCallback(m.current))
        report.violated(`table ${tableName(page)} freed by an RCU callback`, 'it is freed at once');
      else if (tables.stageOf(page) === LINKED) {
        report.violated(
          `no entry that points to table ${tableName(page)} when it is freed`,
          'one does',
        );
      }
    });
  },
} satisfies KvmRule;
