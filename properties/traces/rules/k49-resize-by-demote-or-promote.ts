/** K49 in a trace: what the Secure EPT holds when an entry of the mirror changes its size. */
import { valuesOf } from '../state/change.ts';
import { isPresent, TABLE } from '../state/spte.ts';
import { eventsOf } from '../tdx/call.ts';
import { describe } from '../tdx/td.ts';
import { keepsFrame } from './change-rule.ts';
import { agrees, ENTRY_UNKNOWN, onMirrorChange } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K49',
  needs: ['chg'],
  watch: (_, report, { tds }) => {
    onMirrorChange(tds, (c, td) => {
      const isOther = c.oldKind !== c.newKind || !keepsFrame(c);
      if (!isPresent(c.oldKind) || !isPresent(c.newKind) || !isOther) return;
      const entry = td.at(c.gfn, c.level);
      if (entry === null) return report.notJudged(ENTRY_UNKNOWN);
      report.exercised(c.vm);
      if (agrees(c, entry)) return;
      const unless = eventsOf(c.newKind === TABLE ? 'tdh_mem_page_demote' : 'tdh_mem_page_promote');
      report.violated(
        { line: c.line, task: c.task, vm: c.vm, unless },
        `resizes an entry of the mirror while the Secure EPT entry is ${describe(entry)}: ` +
          valuesOf(c),
      );
    });
  },
};

export default rule;
