import { LEAF } from '../state/spte.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { nameOfKey } from '../tdx/td.ts';
import { watchDebts } from './removed-entries.ts';
import type { TraceRule } from './rule.ts';

const K47: TraceRule = {
  id: 'K47',
  needs: ['chg', ...eventsOf('tdh_mem_page_remove')],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_page_remove' || tds.mayWrite(td, task)) return;
      report.violated(
        { line: call.line, task, vm: td.vm },
        `page ${nameOfKey(call.key)} is removed, and mmu_lock is not held for write`,
      );
    });
    watchDebts(
      tds,
      LEAF,
      'tdh_mem_page_remove',
      report,
      (entry) =>
        `mmu_lock is released, and the page at ${entry}, which the mirror has lost, was not removed`,
    );
  },
};

export default K47 satisfies TraceRule;
