/** K65 in a trace: lock and preparation of a split, and large pages that stay blocked. */
import { GPA_RANGE_NOT_BLOCKED, TLB_TRACKING_NOT_DONE } from '../../../spec/tdx/status.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { nameOfKey } from '../tdx/td.ts';
import { DEMOTE, watchBlocked } from './resizes.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
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
        `splits ${nameOfKey(call.key)} without mmu_lock held for write`,
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
        call.is(GPA_RANGE_NOT_BLOCKED)
          ? `splits ${nameOfKey(call.key)} without blocking it`
          : `splits ${nameOfKey(call.key)} while a vCPU is in the guest since before tdh_mem_track`,
      );
    });
    watchBlocked(tds, report, 'leaf');
  },
};

export default rule;
