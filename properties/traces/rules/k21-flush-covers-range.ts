import type { TraceRule } from './rule.ts';

const K21: TraceRule = {
  id: 'K21',
  needs: ['flush_range', 'flush_range_ret'],
  watch: (_world, report, { flushes: { listeners } }) => {
    listeners.rangeBegan.push((vm) => report.exercised(vm));
    listeners.uncovered.push((flush, task, { line, text, start, end }) => {
      report.violated(
        { line, task, vm: flush.vm, text },
        `GFNs 0x${start.toString(16)} up to 0x${end.toString(16)} are flushed, and 0x${flush.start.toString(16)} up to ` +
          `0x${flush.end.toString(16)} changed`,
        [{ line: flush.line, what: flush.what }],
      );
    });
  },
};

export default K21 satisfies TraceRule;
