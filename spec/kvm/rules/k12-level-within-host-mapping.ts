import { entryAt, sizeAt } from '../../machine/levels.ts';
import { PerActor } from '../../machine/per-actor.ts';
import { NO_MEMSLOT } from '../memslots.ts';
import { isLeafSpte, pageOfSpte } from '../spte.ts';
import { hostLevel } from './host-pages.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K12',
  level: 'required',
  statement:
    'A leaf is installed at or below the level at which the host maps the page, as looked up ' +
    'under mmu_lock, and within its memslot.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_map(); mmu.c: host_pfn_mapping_level() ' +
    '(valid only under mmu_lock)',
  intent:
    'A larger leaf lets the guest reach host memory that does not belong to the slot, or that ' +
    'the host has already split.',
  hint:
    'Look at when max_mapping_level is computed: kvm_mmu_hugepage_adjust() runs under mmu_lock, ' +
    'after the check for a stale fault.',
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
      if (!isReachable(tables, table) || !isLeafSpte(after) || isLeafSpte(before)) return;
      report.exercised();
      if (level === 0) return;
      if (asked.mine === 0)
        report.violated('the level looked up under mmu_lock', 'it was looked up earlier');
      const gfn = tables.gfnOf(table, index);
      const asId = roots.asIdOf(tables.rootOf(table));
      const slot = slots.find(asId, gfn);
      const host = hostLevel(kvm, asId, gfn, pageOfSpte(after));
      const isWithinSlot =
        slot !== NO_MEMSLOT &&
        gfn + tables.span(level) <= slots.gfnOf(slot) + slots.place(slot).pages;
      if (host >= level && isWithinSlot) return;
      report.violated(
        `entry ${entryAt(gfn, level)} only where the host maps as much, inside the memslot`,
        host >= level ? 'the memslot ends before' : `the host maps ${sizeAt(host)}`,
      );
    });
  },
} satisfies KvmRule;
