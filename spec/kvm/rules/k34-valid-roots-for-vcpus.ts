import { describeSpte } from '../spte.ts';
import { findEntry } from './present-entries.ts';
import { tableName } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K34',
  level: 'required',
  statement:
    'A vCPU loads only valid roots; a notifier zaps its range under invalid roots as well as ' +
    'valid ones.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: kvm_tdp_mmu_alloc_root(), kvm_tdp_mmu_unmap_gfn_range() ' +
    '(KVM_INVALID_ROOTS); commit d62007edf01f',
  intent:
    'A vCPU on an invalid root runs on tables that are being zapped; an invalid root that a ' +
    'notifier skips still refers to the page.',
  hint:
    'Look at which roots each iteration selects: valid ones to share with a vCPU, all of them in ' +
    'kvm_tdp_mmu_unmap_gfn_range().',
  versions: ['*'],
  watch: (kvm, report) => {
    const { primary, roots, slots } = kvm;
    kvm.listeners.push({
      loaded: (vcpu, root) => {
        if (root < 0) return;
        report.exercised();
        if (roots.isInvalid(root))
          report.violated(`a valid root for vcpu${vcpu}`, `${tableName(root)} is invalid`);
      },
    });
    primary.listeners.push({
      released: (hva, page) => {
        for (const root of roots.all()) {
          if (!roots.isInvalid(root)) continue;
          findEntry(kvm, root, (spte, gfn, level) => {
            const slot = slots.find(roots.asIdOf(root), gfn);
            const maps = level === 0 && slot >= 0 && slots.hvaOf(slot, gfn) === hva;
            if (maps)
              report.violated(
                `page ${page} zapped under invalid root ${tableName(root)}`,
                describeSpte(spte),
              );
            return maps;
          });
        }
      },
    });
  },
} satisfies KvmRule;
