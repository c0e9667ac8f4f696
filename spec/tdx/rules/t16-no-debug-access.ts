import { tdGet } from '../operands.ts';
import { describeStatus, SUCCESS } from '../status.ts';
import { TD } from '../td.ts';
import type { TdxRule } from './rule.ts';

const DEBUG_ACCESS = new Set(['TDH.MEM.RD', 'TDH.MEM.WR']);

export default {
  id: 'T16',
  // No policy reads private memory.
  level: 'stochastic',
  statement: 'MEM.RD and MEM.WR of a TD without the DEBUG attribute fail, and return no data.',
  source:
    'ABI Reference 348551, TDH.MEM.RD leaf (leaf 12), TDH.MEM.WR leaf (leaf 14); ' +
    'intel/tdx-module 1.5.01, src/vmm_dispatcher/api_calls/tdh_mem_rd_wr.c: tdh_mem_rd_wr()',
  intent: 'The private memory of a production TD is confidential, and the host must not change it.',
  hint: 'Check that the function tests ATTRIBUTES.DEBUG before it walks to the page.',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (!DEBUG_ACCESS.has(call.name) || call.tdr < 0 || tdGet(tdx, call, TD.DEBUG) !== 0)
          return;
        report.exercised();
        if (status !== SUCCESS && call.data === 0) return;
        report.violated(`${call.name} fails without data`, describeStatus(status));
      },
    });
  },
} satisfies TdxRule;
