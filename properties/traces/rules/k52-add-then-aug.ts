import { eventsOf } from '../tdx/call.ts';
import type { TraceRule } from './rule.ts';

const K52: TraceRule = {
  id: 'K52',
  needs: eventsOf('tdh_mr_finalize'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (call.name !== 'tdh_mem_page_aug' && call.name !== 'tdh_mem_page_add') return;
      if (!td.isSeenFromStart)
        return report.unjudged('whether the TD was finalized before the trace');
      report.exercised(td.vm);
      const isAdd = call.name === 'tdh_mem_page_add';
      const where = { line: call.line, task, vm: td.vm };
      if (isAdd === td.finalLine > 0) {
        report.violated(
          where,
          `${call.name}, and the TD ${isAdd ? 'can run' : 'is still being built'}`,
          td.finalLine === 0 ? [] : [{ line: td.finalLine, what: 'it was finalized' }],
        );
      } else if (isAdd && !call.hasSource)
        report.violated(where, 'a page is added without contents, as by a fault');
    });
  },
};

export default K52 satisfies TraceRule;
