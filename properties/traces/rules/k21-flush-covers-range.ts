/** K21 in a trace: the range of a flush and the GFNs that changed. */
import { rangeText } from './gfns.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K21',
  needs: ['flush_range', 'flush_range_ret'],
  watch: (_world, report, { flushes: { listeners } }) => {
    listeners.rangeBegan.push((vm) => report.exercised(vm));
    listeners.uncovered.push((flush, task, { line, text, start, end }) => {
      report.violated(
        { line, task, vm: flush.vm, text },
        `flushes ${rangeText({ start, end })}, which do not cover the changed ${rangeText(flush)}`,
        [{ line: flush.line, what: flush.what }],
      );
    });
  },
};

export default rule;
