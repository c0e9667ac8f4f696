import { MODULE_HALT } from '../status.ts';
import type { TdxRule } from './rule.ts';

// No `finding`: under 1.5 a VMM is judged by it as well, since the VMM chooses which calls overlap.
export default {
  id: 'T07',
  level: 'required',
  statement: 'No interleaving of legal calls halts the module.',
  source:
    'intel/tdx-module 1.5.01, src/common/memory_handlers/pamt_manager.c: pamt_implicit_get(); ' +
    'docs/module-notes.md#non-atomic-behaviour; finding F2 (module 1.5 breaks it when PAGE.AUG ' +
    'races)',
  intent: 'A halt of the module ends every TD of the platform.',
  hint:
    'Look for PAGE.REMOVE, RELOCATE or DEMOTE that overlaps PAGE.AUG of the same GPA; mmu_lock ' +
    'should keep them apart.',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      ended: (call, status) => {
        report.exercised();
        if (status === MODULE_HALT)
          report.violated(`${call.name} returns a status`, 'the module halted the platform');
      },
    });
  },
} satisfies TdxRule;
