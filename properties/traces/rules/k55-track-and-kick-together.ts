/** K55 in a trace: lock of TDH.MEM.TRACK, and vCPUs that are still in the epoch before. */
import { PREVIOUS_TLB_EPOCH_BUSY } from '../../../spec/tdx/status.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K55',
  needs: eventsOf('tdh_mem_track'),
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_track') return;
      report.exercised(td.vm);
      const where = { line: call.line, task, vm: td.vm };
      if (!tds.mayWrite(td, task))
        report.violated(where, 'calls tdh_mem_track without mmu_lock held for write');
    });
    tds.ended.push((td, task, call) => {
      if (call.name !== 'tdh_mem_track' || !call.is(PREVIOUS_TLB_EPOCH_BUSY)) return;
      report.violated(
        { line: tds.world.e.line, task, vm: td.vm },
        'calls tdh_mem_track while a vCPU still runs in the previous epoch',
      );
    });
  },
};

export default rule;
