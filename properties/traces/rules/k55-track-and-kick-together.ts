import { PREVIOUS_TLB_EPOCH_BUSY } from '../../../spec/tdx/status.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import type { TraceRule } from './rule.ts';

const K55: TraceRule = {
  id: 'K55',
  needs: eventsOf('tdh_mem_track'),
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_track') return;
      report.exercised(td.vm);
      const where = { line: call.line, task, vm: td.vm };
      if (!tds.mayWrite(td, task))
        report.violated(where, 'TRACK is called, and mmu_lock is not held for write');
    });
    tds.ended.push((td, task, call) => {
      if (call.name !== 'tdh_mem_track' || !call.is(PREVIOUS_TLB_EPOCH_BUSY)) return;
      report.violated(
        { line: tds.world.e.line, task, vm: td.vm },
        'TRACK is called, and a vCPU is still inside from the epoch before',
      );
    });
  },
};

export default K55 satisfies TraceRule;
