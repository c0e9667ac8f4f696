/** What holds of a TD's pages, and of the platform, as a whole. */
import type { Reporter } from '../../machine/monitor.ts';
import type { TdxModule } from '../module.ts';
import { tdGet } from '../operands.ts';
import { describeStatus, MODULE_HALT, SUCCESS } from '../status.ts';
import { TD } from '../td.ts';
import { openCalls } from './observers.ts';
import type { TdxRule } from './rule.ts';
import { ownedPages, tdsOf } from './tree.ts';

const T07: TdxRule = {
  id: 'T07',
  level: 'required',
  statement: 'No interleaving of legal calls halts the module.',
  // A VMM is judged by it under 1.5, too: which calls it makes at the same time is its own affair.
  source: 'races.json; module notes §6; finding F2 (module 1.5 breaks it when PAGE.AUG races)',
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
};

const RECLAIM = 'TDH.PHYMEM.PAGE.RECLAIM';

const T08: TdxRule = {
  id: 'T08',
  level: 'required',
  statement:
    'With no call in flight, CHLDCNT is the number of 4 KiB pages that PAMT gives to the TD.',
  source: 'checks on the recordings (README); life-cycle notes §4',
  versions: ['*'],
  watch: (tdx, report) => {
    const calls = openCalls(tdx);
    tdx.listeners.push({
      ended: ({ name, tdr, page }, status) => {
        if (name === RECLAIM && status === SUCCESS && tdr !== page && calls.quiet)
          recount(tdx, tdr, report);
      },
    });
  },
  atRest: (tdx, report) => {
    for (const tdr of tdsOf(tdx)) recount(tdx, tdr, report);
  },
};

function recount(tdx: TdxModule, tdr: number, report: Reporter): void {
  report.exercised();
  const owned = ownedPages(tdx, tdr);
  const kept = tdx.m.peek(tdx.memory.word(tdr, TD.CHLDCNT));
  if (kept !== owned) report.violated(`CHLDCNT = ${owned}, the pages owned`, String(kept));
}

const DEBUG_ACCESS = new Set(['TDH.MEM.RD', 'TDH.MEM.WR']);

const T16: TdxRule = {
  id: 'T16',
  // No policy reads private memory.
  level: 'stochastic',
  statement:
    "The host neither reads nor writes what a page of a production TD holds, as long as it is the TD's.",
  source: 'module notes §3 (MEM.RD, MEM.WR)',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (!DEBUG_ACCESS.has(call.name) || call.tdr < 0 || tdGet(tdx, call, TD.DEBUG) !== 0)
          return;
        report.exercised();
        if (status !== SUCCESS && call.data === 0) return;
        report.violated(`${call.name} refused, no data`, describeStatus(status));
      },
    });
  },
};

export const PAGE_RULES: readonly TdxRule[] = [T07, T08, T16];
