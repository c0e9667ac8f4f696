import {
  describeSpte,
  isPresent,
  kindOfSpte,
  LEAF,
  pageOfSpte,
  TABLE,
} from '../../spec/kvm/spte.ts';
import { SUCCESS } from '../../spec/tdx/status.ts';
import type { VmRule } from './rule.ts';
import { DEMOTE, PROMOTE } from './state/calls.ts';
import { keyOfCall, keyOfPlace, nameOfKey, type Key } from './state/entry-keys.ts';

/** Calls that replace a present entry by another, each with the kind of the new entry. */
const RESIZES: ReadonlyMap<string, number> = new Map([
  [DEMOTE, TABLE],
  [PROMOTE, LEAF],
]);

export default {
  id: 'K49',
  level: 'required',
  statement:
    'A present mirror entry is replaced by another present one only after DEMOTE or PROMOTE made ' +
    'the same change.',
  source:
    'Linux 6.14, tdp_mmu.c: tdp_mmu_set_spte() (KVM_BUG_ON); huge page series v5, patch 6/45 ' +
    '(one hook for external entries)',
  intent:
    'Otherwise mirror and Secure EPT map the range at different sizes, and the next call fails.',
  hint: 'Check that split and merge call DEMOTE or PROMOTE before they write the mirror entry.',
  versions: ['*'],
  watch: (vm, report) => {
    /** Entries that the module has resized and the mirror has not, each with its new kind. */
    const resized = new Map<Key, number>();
    vm.m.clearOnReset(resized);
    vm.tdx.listeners.push({
      ended: (call, status) => {
        const kind = RESIZES.get(call.name);
        if (kind !== undefined && status === SUCCESS) resized.set(keyOfCall(call), kind);
      },
    });
    vm.mirror.listeners.push((table, index, before, after) => {
      if (!isPresent(before) || !isPresent(after) || !isReplaced(before, after)) return;
      report.exercised();
      const key = keyOfPlace(vm, table, index);
      if (resized.get(key) === kindOfSpte(after)) resized.delete(key);
      else
        report.violated(
          `${nameOfKey(key)} made a ${describeSpte(after)} by the module first`,
          'the module was not called',
        );
    });
  },
} satisfies VmRule;

/** The entry gets another table or another page. */
const isReplaced = (before: number, after: number): boolean =>
  kindOfSpte(before) !== kindOfSpte(after) || pageOfSpte(before) !== pageOfSpte(after);
