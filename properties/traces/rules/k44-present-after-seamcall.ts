/** K44 in a trace: what the Secure EPT holds when an entry of the mirror becomes present. */
import type { CallName } from '../reader/event-table.ts';
import { valuesOf } from '../state/change.ts';
import { isPresent, TABLE } from '../state/spte.ts';
import { eventsOf } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { describe, nameOfKey } from '../tdx/td.ts';
import { ADDS, agrees, ENTRY_UNKNOWN, followHooks, onMirrorChange } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K44',
  needs: ['chg'],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    const inHook = followHooks(tds);
    onMirrorChange(tds, (c, td) => {
      if (!isPresent(c.newKind) || isPresent(c.oldKind)) return;
      const entry = td.at(c.gfn, c.level);
      if (entry === null) return report.notJudged(ENTRY_UNKNOWN);
      report.exercised(c.vm);
      if (agrees(c, entry)) return;
      const by: readonly CallName[] =
        c.newKind === TABLE ? ['tdh_mem_sept_add'] : ['tdh_mem_page_add', 'tdh_mem_page_aug'];
      const where = { line: c.line, task: c.task, vm: c.vm, unless: by.flatMap(eventsOf) };
      report.violated(
        where,
        `makes an entry of the mirror present while the Secure EPT entry is ${describe(entry)}: ` +
          valuesOf(c),
        entry.line === 0 ? [] : [{ line: entry.line, what: 'the last call that changed it' }],
      );
    });
    tds.began.push((td, task, call) => {
      if (!ADDS.has(call.name) || tds.mayWrite(td, task) || inHook.get(task) === call.key) return;
      report.violated(
        { line: call.line, task, vm: td.vm, unless: ['tdx_sept_set_private_spte'] },
        `calls ${call.name} for ${nameOfKey(call.key)} without freezing the entry in the mirror`,
      );
    });
  },
};

export default rule;
