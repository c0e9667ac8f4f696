/** K45 in a trace: the parent of an entry that a call makes present. */
import { eventsOf } from '../tdx/call.ts';
import { alignTo, describe, keyOf, nameOfKey } from '../tdx/td.ts';
import { ADDS, ENTRY_UNKNOWN } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K45',
  needs: eventsOf('tdh_mem_sept_add'),
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (!ADDS.has(call.name) || call.level === td.root?.level) return;
      const above = keyOf(alignTo(call.gfn, call.level + 1), call.level + 1);
      const parent = td.at(alignTo(call.gfn, call.level + 1), call.level + 1);
      if (parent === null) return report.notJudged(ENTRY_UNKNOWN);
      report.exercised(td.vm);
      if (parent.holds === 'table' && parent.blockedIn < 0) return;
      const unless = parent.holds === 'leaf' ? eventsOf('tdh_mem_page_demote') : [];
      report.violated(
        { line: call.line, task, vm: td.vm, unless },
        `calls ${call.name} for ${nameOfKey(call.key)} while its parent, ${nameOfKey(above)}, is ` +
          describe(parent),
      );
    });
  },
};

export default rule;
