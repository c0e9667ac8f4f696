/** Entries that left the mirror and have to leave the Secure EPT: K47 and K48. */
import type { CallName } from '../reader/event-table.ts';
import { FROZEN, isPresent, LEAF, TABLE } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { eventsOf } from '../tdx/call.ts';
import type { Tds } from '../tdx/follow.ts';
import { keyOf, nameOfKey, type Key, type Td } from '../tdx/td.ts';
import { onMirror } from './mirror.ts';
import type { TraceReporter } from './rule.ts';

interface Debt {
  readonly td: Td;
  readonly task: Task;
  readonly line: number;
}

/**
 * Entries that somebody took out of the mirror, and that have to leave the Secure EPT before it
 * releases mmu_lock. `unpaid` is told of those that did not.
 */
export function watchDebts(
  tds: Tds,
  kind: typeof LEAF | typeof TABLE,
  by: CallName,
  report: TraceReporter,
  unpaid: (entry: string) => string,
): void {
  const owed = new Map<Key, Debt>();
  onMirror(tds, (c, td) => {
    const key = keyOf(c.gfn, c.level);
    // it was frozen only, and is as it was, or another size: K44 and K49 ask about that
    if (c.oldKind === FROZEN && isPresent(c.newKind)) owed.delete(key);
    if (c.oldKind !== kind || isPresent(c.newKind) || (kind === TABLE && td.isFlushed)) return;
    report.exercised(c.vm);
    if (td.at(c.gfn, c.level)?.holds !== 'free') owed.set(key, { td, task: c.task, line: c.line });
  });
  tds.ended.push((_td, _task, call) => {
    if (call.name === by && call.succeeded) owed.delete(call.key);
  });
  tds.world.listeners.releasing.push((task, { lock }) => {
    for (const [key, debt] of owed) {
      if (debt.task !== task || debt.td.vm.id !== lock) continue;
      owed.delete(key);
      if (debt.td.isDead) continue;
      const unless = [...eventsOf(by), 'request'] as const;
      report.violated(
        { line: tds.world.e.line, task, vm: debt.td.vm, unless },
        unpaid(nameOfKey(key)),
        [{ line: debt.line, what: 'it left the mirror' }],
      );
    }
  });
  tds.world.listeners.forgetting.push(() => owed.clear());
}
