/** K48 in a trace: calls that block and remove tables, and calls below a blocked table. */
import type { CallName } from '../reader/event-table.ts';
import { TABLE } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { ABOUT_ENTRY } from '../tdx/effects.ts';
import { LOCK_MODE_PAIRS, type Tds } from '../tdx/follow.ts';
import { nameOfKey, type Td } from '../tdx/td.ts';
import { watchRemovals } from './removed-entries.ts';
import type { TraceRule } from './rule.ts';

const SEPT_REMOVE: CallName = 'tdh_mem_sept_remove';

/** Calls that a task makes for a table to remove it. */
const REMOVES_TABLE: ReadonlySet<CallName> = new Set(['tdh_mem_range_block', SEPT_REMOVE]);

/** Text for a call that violates the rule when it begins, or null. */
function whatIsWrong(tds: Tds, td: Td, task: Task, call: TracedCall): string | null {
  const entry = nameOfKey(call.key);
  const above = td.blockedAbove(call.gfn, call.level);
  if (above !== null)
    return `calls ${call.name} for ${entry} below the blocked table at ${nameOfKey(above)}`;
  if (call.before?.holds !== 'table' || !REMOVES_TABLE.has(call.name)) return null;
  if (!tds.mayWrite(td, task))
    return `calls ${call.name} for the table at ${entry} without mmu_lock held for write`;
  const child = call.name === SEPT_REMOVE ? td.childOf(call.gfn, call.level) : null;
  return child === null
    ? null
    : `removes the table at ${entry} while ${nameOfKey(child)} in it is not free`;
}

const rule: TraceRule = {
  id: 'K48',
  needs: ['chg', ...eventsOf('tdh_mem_range_block')],
  pairs: LOCK_MODE_PAIRS,
  watch: (_, report, { tds }) => {
    tds.began.push((td, task, call) => {
      if (!ABOUT_ENTRY.has(call.name) || td.isFlushed) return;
      const wrong = whatIsWrong(tds, td, task, call);
      if (wrong !== null || (REMOVES_TABLE.has(call.name) && call.before?.holds === 'table'))
        report.exercised(td.vm);
      const unless = call.name === SEPT_REMOVE ? eventsOf('tdh_mem_page_remove') : [];
      if (wrong !== null) report.violated({ line: call.line, task, vm: td.vm, unless }, wrong);
    });
    watchRemovals(tds, TABLE, SEPT_REMOVE, report);
  },
};

export default rule;
