import { entryAt } from '../../machine/levels.ts';
import { SLOT_ABSENT } from '../memslots.ts';
import { describeSpte, EMPTY, FROZEN } from '../spte.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K36',
  level: 'required',
  statement:
    'No SPTE is created and no memslot is installed for a GFN that the host cannot address.',
  source: 'Linux, arch/x86/kvm/mmu/tdp_mmu.c: tdp_mmu_max_gfn_exclusive(); commit 86931ff7207b',
  intent: 'A zap of everything stops at the highest addressable GFN: an entry beyond it is leaked.',
  hint:
    'Look at the fault path for GFNs without a memslot, such as MMIO: it has to refuse GFNs from ' +
    'kvm_mmu_max_gfn() on.',
  versions: ['*'],
  watch: (kvm, report) => {
    const { maxGfn, tables, slots } = kvm;
    tables.listeners.push((table, index, _before, after) => {
      const gfn = tables.gfnOf(table, index);
      if (gfn < maxGfn || after === EMPTY || after === FROZEN || !isReachable(tables, table))
        return;
      report.violated(
        `no SPTE from GFN ${maxGfn} on`,
        `entry ${entryAt(gfn, tables.levelOf(table))} becomes ${describeSpte(after)}`,
      );
    });
    kvm.listeners.push({
      faultEnded: (_vcpu, fault) => {
        if (fault.gfn >= maxGfn) report.exercised();
      },
    });
    slots.listeners.push({
      installed: (slot, state) => {
        if (state === SLOT_ABSENT || slots.gfnOf(slot) + slots.place(slot).pages <= maxGfn) return;
        report.violated(`no memslot beyond GFN ${maxGfn}`, `slot ${slot} is installed`);
      },
    });
  },
} satisfies KvmRule;
