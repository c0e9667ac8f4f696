import { GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE } from '../../../spec/tdx/status.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { nameOfKey } from '../tdx/td.ts';
import { DEMOTE, watchBlocked } from './resizes.ts';
import type { TraceRule } from './rule.ts';

const K65: TraceRule = {
  id: 'K65',
  needs: eventsOf(DEMOTE),
  pairs: LOCK_MODE_PAIRS,
  watch: (world, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== DEMOTE) return;
      report.exercised(td.vm);
      if (tds.mayWrite(td, task)) return;
      report.violated(
        { line: call.line, task, vm: td.vm },
        `${nameOfKey(call.key)} is split, and mmu_lock is not held for write`,
      );
    });
    tds.ended.push((td, task, call) => {
      if (
        call.name !== DEMOTE ||
        !(call.is(GPA_RANGE_NOT_BLOCKED) || call.is(TLB_TRACKING_NOT_DONE))
      )
        return;
      report.violated(
        { line: world.e.line, task, vm: td.vm },
        `${nameOfKey(call.key)} is split, and is not blocked, or a vCPU is inside since before`,
      );
    });
    watchBlocked(tds, report, 'leaf', 'page');
  },
};

export default K65 satisfies TraceRule;
