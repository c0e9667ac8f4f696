/** K67 in a trace: tables that stay blocked after a merge failed. */
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { PROMOTE, watchBlocked } from './resizes.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K67',
  needs: eventsOf(PROMOTE),
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, _task, call) => {
      if (call.name === PROMOTE) report.exercised(td.vm);
    });
    watchBlocked(tds, report, 'table');
  },
};

export default rule;
