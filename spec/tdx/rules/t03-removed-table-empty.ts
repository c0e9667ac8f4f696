import { describeEntry, FREE, isTable, pageOf, stateOf } from '../entry.ts';
import type { TdxRule } from './rule.ts';

export default {
  id: 'T03',
  level: 'required',
  statement: 'A table leaves the Secure EPT only when every one of its entries is FREE.',
  source:
    'ABI Reference 348551, TDH.MEM.SEPT.REMOVE leaf (leaf 30); intel/tdx-module 1.5.01, ' +
    'src/vmm_dispatcher/api_calls/tdh_mem_sept_remove.c: tdh_mem_sept_remove()',
  intent:
    'A page that is mapped below a removed table belongs to the TD and no call can remove it.',
  hint:
    "Check SEPT.REMOVE's scan of the table, and that no call adds an entry between the scan and " +
    'the write.',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      entryWritten: (_cell, before, after) => {
        if (!isTable(before) || stateOf(after) !== FREE) return;
        report.exercised();
        for (let i = 0; i < tdx.geometry.fanout; i++) {
          const child = tdx.m.peek(tdx.memory.word(pageOf(before), i));
          if (stateOf(child) === FREE) continue;
          return report.violated(
            'every entry of the removed table FREE',
            `entry ${i} is ${describeEntry(child)}`,
          );
        }
      },
    });
  },
} satisfies TdxRule;
