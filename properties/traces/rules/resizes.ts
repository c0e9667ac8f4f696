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

/** Calls after which a blocked entry is no longer blocked. */
const UNBLOCKS: ReadonlySet<CallName> = new Set([
  'tdh_mem_range_unblock',
  'tdh_mem_page_remove',
  'tdh_mem_sept_remove',
  DEMOTE,
  PROMOTE,
]);

/** Events of those calls. */
export const UNBLOCK_EVENTS = [...UNBLOCKS].flatMap(eventsOf);

/** Event that leaves an entry unsettled, and the line since which the task had to settle it. */
interface Unsettled {
  readonly line: number;
  readonly task: Task;
  readonly since: number;
}

/**
 * Follows entries that a task must settle, by a call of UNBLOCKS, before it releases mmu_lock:
 * `begins` selects the calls that begin this, and `unsettled` is called for entries that are left.
 */
export function watchUnsettled(
  { world, ended }: Tds,
  begins: (call: TracedCall) => boolean,
  unsettled: (key: Key, td: Td, where: Unsettled) => void,
): void {
  const pending = new Map<Key, { readonly td: Td; readonly task: Task; readonly line: number }>();
  ended.push((td, task, call) => {
    if (call.succeeded && UNBLOCKS.has(call.name)) pending.delete(call.key);
    else if (begins(call)) pending.set(call.key, { td, task, line: call.line });
  });
  world.listeners.releasing.push((task, { lock }) => {
    for (const [key, begun] of pending) {
      if (begun.task !== task || begun.td.vm.id !== lock) continue;
      pending.delete(key);
      if (!begun.td.isDead)
        unsettled(key, begun.td, { line: world.e.line, task, since: begun.line });
    }
  });
  world.listeners.forgetting.push(() => pending.clear());
}

const blocksLarge = ({ name, succeeded, level }: TracedCall): boolean =>
  name === 'tdh_mem_range_block' && succeeded && level > 1;

/** Reports large entries of a kind that stay blocked while the mirror still maps them. */
export function watchBlocked(tds: Tds, report: TraceReporter, kind: Entry['holds']): void {
  watchUnsettled(tds, blocksLarge, (key, td, { since, ...where }) => {
    const [gfn, level] = [gfnOf(key), levelOf(key)];
    const entry = td.at(gfn, level);
    const spte = mirrorAt(td, tds.world, gfn, level);
    if (
      entry?.holds !== kind ||
      entry.blockedIn < 0 ||
      spte?.level !== level ||
      !isPresent(spte.kind)
    )
      return;
    report.violated(
      { ...where, vm: td.vm, unless: UNBLOCK_EVENTS },
      `releases mmu_lock while ${nameOfKey(key)}, which the mirror maps, is a ${describe(entry)}`,
      [{ line: since, what: 'the entry was blocked' }],
    );
  });
}
