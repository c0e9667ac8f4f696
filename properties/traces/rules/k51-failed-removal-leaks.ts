/** K51 in a trace: pages that the host uses although the module did not remove them. */
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { hostUses, PAGE_REMOVE, removedFrames } from './removed-frames.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K51',
  needs: [...eventsOf(PAGE_REMOVE), 'reset_page'],
  watch: (world, report, { tds }) => {
    const failed = new Map<number, TracedCall>();
    tds.ended.push((td, _task, call) => {
      if (call.name !== PAGE_REMOVE || call.isBusy) return;
      if (!call.succeeded) report.exercised(td.vm);
      for (const frame of removedFrames(call))
        if (call.succeeded) failed.delete(frame);
        else failed.set(frame, call);
    });
    tds.pageUsed.push((frame, task, line) => {
      const call = failed.get(frame);
      if (call === undefined) return;
      report.violated(
        { line, task, vm: task.vm },
        hostUses(frame, 'which the module still holds'),
        [{ line: call.line, what: `${call.name} failed with ${call.status}` }],
      );
    });
    world.listeners.forgetting.push(() => failed.clear());
  },
};

export default rule;
