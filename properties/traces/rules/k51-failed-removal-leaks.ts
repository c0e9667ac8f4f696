import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { hex, REMOVE, removed } from './removals.ts';
import type { TraceRule } from './rule.ts';

const K51: TraceRule = {
  id: 'K51',
  needs: [...eventsOf(REMOVE), 'reset_page'],
  watch: (world, report, { tds }) => {
    const failed = new Map<number, TracedCall>();
    tds.ended.push((td, _task, call) => {
      if (call.name !== REMOVE || call.isBusy) return;
      if (!call.succeeded) report.exercised(td.vm);
      for (const frame of removed(call))
        if (call.succeeded) failed.delete(frame);
        else failed.set(frame, call);
    });
    tds.pageUsed.push((frame, task, line) => {
      const call = failed.get(frame);
      if (call === undefined) return;
      report.violated(
        { line, task, vm: task.vm },
        `the host uses page ${hex(frame)}, which the module did not let go of`,
        [{ line: call.line, what: `${call.name}, which answered ${call.status}` }],
      );
    });
    world.listeners.forgetting.push(() => failed.clear());
  },
};

export default K51 satisfies TraceRule;
