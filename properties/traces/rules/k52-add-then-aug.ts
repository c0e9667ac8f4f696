/** K52 in a trace: the call that adds a page, before and after the TD is finalized. */
import { eventsOf } from '../tdx/call.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K52',
  needs: eventsOf('tdh_mr_finalize'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_page_aug' && call.name !== 'tdh_mem_page_add') return;
      if (!td.isSeenFromStart)
        return report.notJudged('the trace does not show whether the TD was finalized before it');
      report.exercised(td.vm);
      const isAdd = call.name === 'tdh_mem_page_add';
      const where = { line: call.line, task, vm: td.vm };
      if (isAdd === td.finalLine > 0) {
        report.violated(
          where,
          `calls ${call.name} ${isAdd ? 'after' : 'before'} the TD is finalized`,
          td.finalLine === 0 ? [] : [{ line: td.finalLine, what: 'the TD was finalized' }],
        );
      } else if (isAdd && !call.hasSource)
        report.violated(where, `calls ${call.name} without a source page`);
    });
  },
};

export default rule;
