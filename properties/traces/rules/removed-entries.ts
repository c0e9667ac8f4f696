/** Entries that left the mirror and have to leave the Secure EPT: K47 and K48. */
import type { CallName } from '../reader/event-table.ts';
import { FROZEN, isPresent, TABLE, type LEAF } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { eventsOf } from '../tdx/call.ts';
import type { Tds } from '../tdx/follow.ts';
import { keyOf, nameOfKey, type Key, type Td } from '../tdx/td.ts';
import { onMirrorChange } from './mirror.ts';
import type { TraceReporter } from './rule.ts';

/** Removal of an entry from the mirror. */
interface Removal {
  readonly td: Td;
  readonly task: Task;
  readonly line: number;
}

/**
 * Reports entries of `kind` that a task removed from the mirror, and not by `call` from the Secure
 * EPT before it releases mmu_lock.
 */
export function watchRemovals(
  tds: Tds,
  kind: typeof LEAF | typeof TABLE,
  call: CallName,
  report: TraceReporter,
): void {
  const pending = new Map<Key, Removal>();
  onMirrorChange(tds, (c, td) => {
    const key = keyOf(c.gfn, c.level);
    // it was only frozen: it is present as before, or resized, which K44 and K49 judge
    if (c.oldKind === FROZEN && isPresent(c.newKind)) pending.delete(key);
    if (c.oldKind !== kind || isPresent(c.newKind) || (kind === TABLE && td.isFlushed)) return;
    report.exercised(c.vm);
    if (td.at(c.gfn, c.level)?.holds !== 'free')
      pending.set(key, { td, task: c.task, line: c.line });
  });
  tds.ended.push((_td, _task, { name, key, succeeded }) => {
    if (name === call && succeeded) pending.delete(key);
  });
  tds.world.listeners.releasing.push((task, { lock }) => {
    for (const [key, removal] of pending) {
      if (removal.task !== task || removal.td.vm.id !== lock) continue;
      pending.delete(key);
      if (removal.td.isDead) continue;
      const unless = [...eventsOf(call), 'request'] as const;
      report.violated(
        { line: tds.world.e.line, task, vm: removal.td.vm, unless },
        `releases mmu_lock without ${call} for the ${kind === TABLE ? 'table' : 'page'} at ` +
          `${nameOfKey(key)}, which is no longer in the mirror`,
        [{ line: removal.line, what: 'the entry left the mirror' }],
      );
    }
  });
  tds.world.listeners.forgetting.push(() => pending.clear());
}
