/** Large pages of a TD that are split or merged by calls that can fail: K65 to K67. */
import type { CallName } from '../reader/event-table.ts';
import { isPresent } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import type { Tds } from '../tdx/follow.ts';
import {
  describe,
  gfnOf,
  levelOf,
  mirrorAt,
  nameOfKey,
  type Entry,
  type Key,
  type Td,
} from '../tdx/td.ts';
import type { TraceReporter } from './rule.ts';

export const DEMOTE: CallName = 'tdh_mem_page_demote';

export const PROMOTE: CallName = 'tdh_mem_page_promote';

/** Calls after which an entry that was blocked no longer is. */
const UNBLOCKS: ReadonlySet<CallName> = new Set([
  'tdh_mem_range_unblock',
  'tdh_mem_page_remove',
  'tdh_mem_sept_remove',
  DEMOTE,
  PROMOTE,
]);

export const ENDED_BY = [...UNBLOCKS].flatMap(eventsOf);

/**
 * Entries that somebody has to settle before it releases mmu_lock: `owes` says when that is so,
 * `left` that it did not.
 */
export function watchOwed(
  { world, ended }: Tds,
  owes: (call: TracedCall) => boolean,
  left: (
    key: Key,
    td: Td,
    where: { readonly line: number; readonly task: Task; readonly since: number },
  ) => void,
): void {
  const owed = new Map<Key, { readonly td: Td; readonly task: Task; readonly line: number }>();
  ended.push((td, task, call) => {
    if (call.succeeded && UNBLOCKS.has(call.name)) owed.delete(call.key);
    else if (owes(call)) owed.set(call.key, { td, task, line: call.line });
  });
  world.listeners.releasing.push((task, { lock }) => {
    for (const [key, debt] of owed) {
      if (debt.task !== task || debt.td.vm.id !== lock) continue;
      owed.delete(key);
      if (!debt.td.isDead) left(key, debt.td, { line: world.e.line, task, since: debt.line });
    }
  });
  world.listeners.forgetting.push(() => owed.clear());
}

const blocksLarge = ({ name, succeeded, level }: TracedCall): boolean =>
  name === 'tdh_mem_range_block' && succeeded && level > 1;

/** Asks of whoever blocks a large entry not to leave it so, while the mirror still maps it. */
export function watchBlocked(
  tds: Tds,
  report: TraceReporter,
  of: Entry['holds'],
  what: string,
): void {
  watchOwed(tds, blocksLarge, (key, td, { since, ...where }) => {
    const [gfn, level] = [gfnOf(key), levelOf(key)];
    const entry = td.at(gfn, level);
    const spte = mirrorAt(td, tds.world, gfn, level);
    if (
      entry?.holds !== of ||
      entry.blockedIn < 0 ||
      spte?.level !== level ||
      !isPresent(spte.kind)
    )
      return;
    report.violated(
      { ...where, vm: td.vm, unless: ENDED_BY },
      `mmu_lock is released, and the ${what} at ${nameOfKey(key)}, which the mirror maps, stays ${describe(entry)}`,
      [{ line: since, what: 'it was blocked' }],
    );
  });
}
