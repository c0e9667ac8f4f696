/** K47 in a trace: pages that leave the mirror, and the call that removes them. */
import { LEAF } from '../state/spte.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { nameOfKey } from '../tdx/td.ts';
import { watchRemovals } from './removed-entries.ts';
import { PAGE_REMOVE } from './removed-frames.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K47',
  needs: ['chg', ...eventsOf(PAGE_REMOVE)],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== PAGE_REMOVE || tds.mayWrite(td, task)) return;
      report.violated(
        { line: call.line, task, vm: td.vm },
        `removes the page at ${nameOfKey(call.key)} without mmu_lock held for write`,
      );
    });
    watchRemovals(tds, LEAF, PAGE_REMOVE, report);
  },
};

export default rule;
