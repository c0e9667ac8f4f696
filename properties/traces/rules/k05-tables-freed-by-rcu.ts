/** K5 in a trace: when a table is freed, by which task, and whether it is freed at all. */
import type { EventName } from '../reader/event-table.ts';
import { valuesOf } from '../state/change.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import type { Cause, TraceRule } from './rule.ts';
import { BATCH, hasEveryCallback, nameOf, placeOf, unlinkedAt, whereOf } from './tables.ts';

/** Why a table may not be freed now, with causes; null if it may. */
function tooEarly(
  world: World,
  table: Table,
  task: Task,
): readonly [string, readonly Cause[]] | null {
  if (table.life === 'freed') return ['is freed a second time', unlinkedAt(table)];
  if (table.life === 'linked' && !table.isRoot) {
    return [
      'is freed while an entry points to it',
      [{ line: table.linkedLine, what: 'the table was linked' }],
    ];
  }
  // without flags, an interrupt looks like the task that it interrupts
  if (task.holds.length > 0 && world.e.hasFlags)
    return ['is freed by a task that holds a lock, not by an RCU callback', unlinkedAt(table)];
  if (world.locksArePreempted) return null;
  for (const reader of world.holdersOf(table.vm.id)) {
    const hold = reader.holdOn(table.vm.id);
    if (table.removedLine === 0 || hold === null || hold.line >= table.removedLine) continue;
    const since = {
      line: hold.line,
      what: `${reader.name} acquired mmu_lock, and still holds it`,
    };
    return [
      `is freed although ${reader.name} has held mmu_lock since before it was unlinked`,
      [since, ...unlinkedAt(table)],
    ];
  }
  return null;
}

const FREED: TraceRule = {
  id: 'K5',
  needs: ['free_rcu'],
  pairs: [
    ['rl_ret', 'ru'],
    ['wl_ret', 'wu'],
  ],
  watch: (world, report) => {
    world.listeners.freeing.push((table, task) => {
      report.exercised(table.vm);
      if (task.holds.length > 0 && !world.e.hasFlags)
        report.notJudged('events do not show whether they are of an interrupt');
      const why = tooEarly(world, table, task);
      if (why === null) return;
      // a page that was freed may have become a table again, which these events show
      const unless: EventName[] =
        table.life === 'freed' ? [world.kernel?.namesTables === true ? 'init_sp' : 'zap_pass'] : [];
      report.violated(
        { line: world.e.line, task, vm: table.vm, unless },
        `${nameOf(table)} ${why[0]}`,
        why[1],
      );
    });
    world.listeners.changing.push((c) => {
      if (c.table?.life !== 'freed' || c.fit === 'late') return;
      report.violated(
        whereOf(world, c),
        `writes an entry of a table that was freed: ${valuesOf(c)}`,
        unlinkedAt(c.table),
      );
    });
  },
};

interface Reuse {
  readonly line: number;
  readonly text: string;
  readonly task: Task;
  readonly vm: Vm;
  readonly seen: string;
  readonly removed: number;
}

const REUSED: TraceRule = {
  id: 'K5',
  needs: ['free_rcu', 'init_sp'],
  watch: (world, report) => {
    const reused: Reuse[] = [];
    world.listeners.reusing.push((table, task) => {
      if (table.life !== 'removed' || reused.length > BATCH) return;
      reused.push({
        line: world.e.line,
        text: world.e.text(),
        task,
        vm: table.vm,
        removed: table.removedLine,
        seen: `the page of ${placeOf(table)} is reused, and no RCU callback freed it`,
      });
    });
    world.listeners.forgetting.push(() => reused.splice(0));
    world.listeners.ending.push(() => {
      if (!hasEveryCallback(world)) return;
      for (const { seen, removed, ...where } of reused) {
        if (where.vm.frees === 0) continue;
        report.violated(where, seen, [{ line: removed, what: 'the table was unlinked' }]);
      }
    });
  },
};

export default [FREED, REUSED] satisfies readonly TraceRule[];
