import type { Reporter } from '../../machine/monitor.ts';
import type { TdxModule } from '../module.ts';
import { SUCCESS } from '../status.ts';
import { TD } from '../td.ts';
import { openCalls } from './open-calls.ts';
import type { TdxRule } from './rule.ts';
import { fieldOf, ownedPages, tdsOf } from './tds.ts';

const RECLAIM = 'TDH.PHYMEM.PAGE.RECLAIM';

export default {
  id: 'T08',
  level: 'required',
  statement:
    'When no call is in flight, TDR.CHLDCNT is the number of 4K pages that PAMT assigns to the TD.',
  source:
    'ABI Reference 348551, TDH.PHYMEM.PAGE.RECLAIM leaf (leaf 28); intel/tdx-module 1.5.01, ' +
    'src/vmm_dispatcher/api_calls/tdh_phymem_page_reclaim.c: tdh_phymem_page_reclaim(); ' +
    'docs/module-notes.md#life-cycle',
  intent:
    'With a count that is too low the TDR is reclaimed before its pages; with one that is too ' +
    'high it never is.',
  hint:
    'Compare what the function adds to CHLDCNT (1, or the 4K pages of a large page) with what it ' +
    'assigns in PAMT.',
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
} satisfies TdxRule;

function recount(tdx: TdxModule, tdr: number, report: Reporter): void {
  report.exercised();
  const owned = ownedPages(tdx, tdr);
  const kept = fieldOf(tdx, tdr, TD.CHLDCNT);
  if (kept !== owned) report.violated(`CHLDCNT = ${owned}, the pages owned`, String(kept));
}
