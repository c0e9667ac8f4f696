import { describeSpte, FROZEN, isNonPresentSpte, isPresent, kindOfSpte, MMIO } from '../spte.ts';
import { isReachable } from './reachable-tables.ts';
import type { KvmRule } from './rule.ts';

export default {
  id: 'K9',
  level: 'required',
  statement:
    'A non-present SPTE is empty, FROZEN or MMIO; it changes into another non-present value only ' +
    'from or to MMIO, or by being frozen or unfrozen.',
  source:
    'Linux, arch/x86/kvm/mmu/tdp_mmu.c: handle_changed_spte(), ' +
    'tdp_mmu_map_handle_target_level(); measured: MMIO of one memslot generation replaces that ' +
    'of another in captures of Linux 7.3',
  intent:
    'Code that tests single bits of a non-present SPTE takes it for a present one; any other ' +
    'value is a corrupted entry.',
  hint:
    'Look for code that sets or clears A, D or W without is_shadow_present_pte(), such as aging ' +
    'or clearing of dirty bits.',
  versions: ['*'],
  watch: ({ tables }, report) => {
    tables.listeners.push((table, _index, before, after) => {
      if (!isReachable(tables, table) || isPresent(after) || before === after) return;
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
        report.violated(`${describeSpte(before)} unchanged`, `it becomes ${describeSpte(after)}`);
    });
  },
} satisfies KvmRule;
