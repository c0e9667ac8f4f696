import { describeSpte, FROZEN, isLeafSpte, isPresent } from '../../spec/kvm/spte.ts';
import type { VmRule } from './rule.ts';
import { keyOfPlace, nameOfKey } from './state/entry-keys.ts';
import { heldAs, holdsForWrite } from './state/mmu-lock.ts';
import { maySplitFrozen } from './state/splits.ts';

export default {
  id: 'K46',
  level: 'required',
  statement:
    'A present mirror entry changes only under mmu_lock held for write; a large one may be ' +
    'frozen under the read lock if the module splits it without a block.',
  source:
    'Linux 6.14, tdp_mmu.c: __tdp_mmu_set_spte_atomic(); thread, message 9; huge page series v3, ' +
    'patch 9 (splits under the read lock, with NON-BLOCKING-RESIZE)',
  intent:
    'To zap, split or replace what is present takes several SEAMCALLs; under mmu_lock held for ' +
    'read a fault can come between.',
  hint:
    'Check how the zap takes mmu_lock, and that no fault zaps or replaces a present mirror ' +
    'entry.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.mirror.listeners.push((table, index, before, after) => {
      if (!isPresent(before)) return;
      report.exercised();
      const isSplit =
        isLeafSpte(before) &&
        vm.mirror.levelOf(table) > 0 &&
        after === FROZEN &&
        maySplitFrozen(vm);
      if (holdsForWrite(vm) || isSplit) return;
      const name = nameOfKey(keyOfPlace(vm, table, index));
      report.violated(
        `mmu_lock held for write where mirror entry ${name} becomes ${describeSpte(after)}`,
        heldAs(vm),
      );
    });
  },
} satisfies VmRule;
