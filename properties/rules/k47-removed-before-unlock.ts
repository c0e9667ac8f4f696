import { isPresent, kindOfSpte, LEAF } from '../../spec/kvm/spte.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { describeSept, isInSept, septAt, UNREACHED } from './state/entries.ts';
import { gfnOfKey, keyOfCall, keyOfPlace, levelOfKey, nameOfKey } from './state/entry-keys.ts';
import { heldAs, holdsForWrite } from './state/mmu-lock.ts';
import { PendingEntries } from './state/pending-entries.ts';

const REMOVE = 'TDH.MEM.PAGE.REMOVE';

export default {
  id: 'K47',
  level: 'required',
  statement:
    'A page zapped in the mirror is removed from the Secure EPT before mmu_lock, held for write, ' +
    'is released.',
  source: 'Linux 6.14, tdp_mmu.c: tdp_mmu_set_spte(), remove_external_spte() (may not fail)',
  intent: 'Between the two, the guest still reaches a page that KVM believes to be unmapped.',
  hint:
    'Check that the zap calls BLOCK, TRACK and REMOVE in the critical section in which it clears ' +
    'the mirror entry, and that REMOVE cannot fail.',
  versions: ['*'],
  watch: (vm, report) => {
    const pending = new PendingEntries(vm);
    vm.mirror.listeners.push((table, index, before, after) => {
      pending.finishThawed(table, index, before, after);
      if (kindOfSpte(before) !== LEAF || isPresent(after)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      if (isInSept(vm, key)) pending.begin(key);
    });
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.name !== REMOVE || holdsForWrite(vm)) return;
        report.violated(
          `mmu_lock held for write where page ${nameOfKey(keyOfCall(call))} is removed`,
          heldAs(vm),
        );
      },
      ended: (call, status) => {
        if (call.name === REMOVE && status === SUCCESS) pending.finish(keyOfCall(call));
      },
    });
    pending.atRelease((entry, key) => {
      const left = septAt(vm, gfnOfKey(key), levelOfKey(key));
      report.violated(
        `page ${entry}, zapped in the mirror, removed before mmu_lock is released`,
        left === UNREACHED ? 'out of reach' : describeSept(left),
      );
    });
  },
} satisfies VmRule;
