import type { CallName } from '../reader/event-table.ts';
import { TABLE } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS, type Tds } from '../tdx/follow.ts';
import { nameOfKey, type Td } from '../tdx/td.ts';
import { watchDebts } from './removed-entries.ts';
import type { TraceRule } from './rule.ts';

const ABOUT_ENTRY = /^tdh_mem_(sept|page|range)_/;

const TAKES_TABLE: ReadonlySet<CallName> = new Set(['tdh_mem_range_block', 'tdh_mem_sept_remove']);

/** What is wrong with a call at the time at which it is made; null when nothing is. */
function whatIsWrong(tds: Tds, td: Td, task: Task, call: TracedCall): string | null {
  const above = td.blockedAbove(call.gfn, call.level);
  if (above !== null)
    return `${call.name} for ${nameOfKey(call.key)}, below the table at ${nameOfKey(above)}, which is blocked`;
  if (call.before?.holds !== 'table' || !TAKES_TABLE.has(call.name)) return null;
  if (!tds.mayWrite(td, task))
    return `the table at ${nameOfKey(call.key)} is taken away, and mmu_lock is not held for write`;
  const child = call.name === 'tdh_mem_sept_remove' ? td.childOf(call.gfn, call.level) : null;
  return child === null
    ? null
    : `the table at ${nameOfKey(call.key)} is removed, and ${nameOfKey(child)} in it is not free`;
}

const K48: TraceRule = {
  id: 'K48',
  needs: ['chg', ...eventsOf('tdh_mem_range_block')],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (!ABOUT_ENTRY.test(call.name) || td.isFlushed) return;
      const wrong = whatIsWrong(tds, td, task, call);
      if (wrong !== null || (TAKES_TABLE.has(call.name) && call.before?.holds === 'table'))
        report.exercised(td.vm);
      const unless = call.name === 'tdh_mem_sept_remove' ? eventsOf('tdh_mem_page_remove') : [];
      if (wrong !== null) report.violated({ line: call.line, task, vm: td.vm, unless }, wrong);
    });
    watchDebts(
      tds,
      TABLE,
      'tdh_mem_sept_remove',
      report,
      (entry) =>
        `mmu_lock is released, and the table at ${entry}, which the mirror has lost, was left to somebody else`,
    );
  },
};

export default K48 satisfies TraceRule;
