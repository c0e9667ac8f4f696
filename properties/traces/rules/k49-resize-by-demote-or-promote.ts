import { valuesOf } from '../state/change.ts';
import { frameOf, isPresent, TABLE } from '../state/spte.ts';
import { eventsOf } from '../tdx/call.ts';
import { describe } from '../tdx/td.ts';
import { agrees, onMirror } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const K49: TraceRule = {
  id: 'K49',
  needs: ['chg'],
  watch: (_, report, { tds }) => {
    onMirror(tds, (c, td) => {
      const isOther =
        c.oldKind !== c.newKind || frameOf(c.oldHi, c.oldLo) !== frameOf(c.newHi, c.newLo);
      if (!isPresent(c.oldKind) || !isPresent(c.newKind) || !isOther) return;
      const entry = td.at(c.gfn, c.level);
      if (entry === null) return report.unjudged('what the Secure EPT had when the trace began');
      report.exercised(c.vm);
      if (agrees(c, entry)) return;
      const unless = eventsOf(c.newKind === TABLE ? 'tdh_mem_page_demote' : 'tdh_mem_page_promote');
      report.violated(
        { line: c.line, task: c.task, vm: c.vm, unless },
        `the module was not asked for that, and has a ${describe(entry)} there: ${valuesOf(c)}`,
      );
    });
  },
};

export default K49 satisfies TraceRule;
