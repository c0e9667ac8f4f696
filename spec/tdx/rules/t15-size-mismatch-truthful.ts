import { describeEntry, isLeaf } from '../entry.ts';
import { classOf, PAGE_SIZE_MISMATCH } from '../status.ts';
import type { TdxRule } from './rule.ts';

export default {
  id: 'T15',
  level: 'required',
  statement:
    'ACCEPT returns PAGE_SIZE_MISMATCH only if the entry at the requested level is not a leaf.',
  source:
    'ABI Reference 348551, TDG.MEM.PAGE.ACCEPT leaf (TDCALL leaf 6); intel/tdx-module 1.5.01, ' +
    'src/td_dispatcher/vm_exits/tdg_mem_page_accept.c: check_tdaccept_failure(); finding F1 ' +
    '(module 1.5 breaks it when PAGE.AUG races)',
  intent:
    'A guest that believes the status goes on with another page size, and causes an EPT violation.',
  hint:
    'Check whether "is it a leaf?" is decided on the value from before the entry lock or on the ' +
    'value reread under it.',
  versions: ['*'],
  finding: { id: 'F1', versions: ['1.5'] },
  watch: (tdx, report) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (call.name !== 'TDG.MEM.PAGE.ACCEPT' || classOf(status) !== PAGE_SIZE_MISMATCH) return;
        report.exercised();
        const e = tdx.m.peek(call.entryCell);
        if (isLeaf(e)) report.violated('no leaf at that level', describeEntry(e));
      },
    });
  },
} satisfies TdxRule;
