/**
 * The life of a table: complete before it is linked (K13), emptied when it is unlinked (K16), freed
 * after that (K5).
 */
import type { EventName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { FROZEN, isPresent, kindOf, hexOf, frameOf, TABLE } from '../state/spte.ts';
import { KNOWN, UNKNOWN, type Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { World } from '../state/world.ts';
import type { Cause, TraceReporter, TraceRule, Where } from './rule.ts';

const nameOf = (table: Table): string =>
  `the table of GFN 0x${table.base.toString(16)} at level ${table.level} (page 0x${table.frame.toString(16)})`;

/**
 * A change whose table may be another one by now, of which another event tells where tables have
 * names.
 */
const at = (world: World, { line, task, vm }: Change): Where => ({
  line,
  task,
  vm,
  unless: world.kernel?.namesTables === true ? ['init_sp'] : [],
});

const removal = (table: Table): Cause[] =>
  table.removedLine === 0
    ? []
    : [{ line: table.removedLine, what: `${table.removedBy?.name ?? ''} unlinked it` }];

/** Why a table may not be freed now; null when it may. */
function tooEarly(
  world: World,
  table: Table,
  task: Task,
): readonly [string, readonly Cause[]] | null {
  if (table.life === 'freed') return ['is freed a second time', removal(table)];
  if (table.life === 'linked' && !table.isRoot) {
    return [
      'is freed while an entry points to it',
      [{ line: table.linkedLine, what: 'it was linked' }],
    ];
  }
  if (task.holds.length > 0)
    return ['is freed by a task that holds a lock, not by an RCU callback', removal(table)];
  if (world.locksArePreempted) return null;
  for (const reader of world.holdersOf(table.vm.id)) {
    const hold = reader.holdOn(table.vm.id);
    if (table.removedLine === 0 || hold === null || hold.line >= table.removedLine) continue;
    const since = { line: hold.line, what: `${reader.name} acquired mmu_lock, and has it still` };
    return [
      `is freed before ${reader.name} is through, which may have met it`,
      [since, ...removal(table)],
    ];
  }
  return null;
}

const K5: TraceRule = {
  id: 'K5',
  needs: ['free_rcu'],
  pairs: [
    ['rl_ret', 'ru'],
    ['wl_ret', 'wu'],
  ],
  watch: (world, report) => {
    world.listeners.freeing.push((table, task) => {
      report.exercised(table.vm);
      const why = tooEarly(world, table, task);
      if (why === null) return;
      // a page that was freed may be a table again, of which that tells
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
        at(world, c),
        `an entry of a table that was freed was written: ${valuesOf(c)}`,
        removal(c.table),
      );
    });
  },
};

/** What is wrong with linking `child`; null when nothing is, or it cannot be told. */
function notToLink(world: World, c: Change, child: Table | undefined): string | null {
  const named = world.kernel?.namesTables === true;
  if (child === undefined) {
    return named && ((c.table?.initialisedLine ?? 0) > 0 || c.task.mapLine > 0)
      ? 'was not initialised'
      : null;
  }
  if (child.life === 'linked' && !child.isRoot) return 'is linked already';
  if (named && (child.life === 'removed' || child.life === 'freed')) return `was ${child.life}`;
  if (child.life !== 'initialised') return null;
  if (child.level !== c.level - 1) return `was initialised for level ${child.level}`;
  return child.base === c.gfn ? null : `was initialised for GFN 0x${child.base.toString(16)}`;
}

const K13: TraceRule = {
  id: 'K13',
  needs: ['chg'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.newKind !== TABLE || c.oldKind === TABLE || c.fit === 'late') return;
      report.exercised(c.vm);
      const child = world.tables.get(frameOf(c.newHi, c.newLo));
      const what = notToLink(world, c, child);
      if (what === null) return;
      report.violated(
        at(world, c),
        `the table that is linked ${what}: ${valuesOf(c)}`,
        child === undefined ? [] : removal(child),
      );
    });
  },
};

/** An entry that should not be as it is in a table that is freed; -1 when there is none. */
function leftOver(world: World, table: Table): number {
  const layout = world.kernel?.layout;
  if (layout === undefined) return -1;
  for (let i = 0; i < Math.min(table.lo.length, world.entries); i++) {
    if (table.known[i] === UNKNOWN) continue;
    const kind = kindOf(layout, table.level, table.hi[i] ?? 0, table.lo[i] ?? 0);
    if (isPresent(kind) || (table.removedShared && kind !== FROZEN && table.known[i] === KNOWN))
      return i;
  }
  return -1;
}

/** A write to a table that was unlinked, by somebody who cannot have met it before. */
function tooLate(world: World, report: TraceReporter, c: Change): void {
  const { table } = c;
  if (table?.life !== 'removed' || c.newKind === FROZEN || c.direct || c.fit === 'late') return;
  const hold = c.task.holdOn(c.vm.id);
  if (table.removedShared && (hold === null || hold.line < table.removedLine)) return;
  report.violated(
    at(world, c),
    `an entry of a table that was unlinked was written: ${valuesOf(c)}`,
    removal(table),
  );
}

const K16: TraceRule = {
  id: 'K16',
  needs: ['free_rcu'],
  watch: (world, report) => {
    world.listeners.freeing.push((table, task) => {
      if (table.life !== 'removed') return;
      report.exercised(table.vm);
      const i = leftOver(world, table);
      if (i < 0) return;
      const value = hexOf(table.hi[i] ?? 0, table.lo[i] ?? 0);
      report.violated(
        { line: world.e.line, task, vm: table.vm },
        `${nameOf(table)} is freed with ${value} for GFN 0x${table.gfnOf(i).toString(16)}`,
        [...removal(table), { line: table.lines[i] ?? 0, what: `${value} was written` }].filter(
          ({ line }) => line > 0,
        ),
      );
    });
    world.listeners.changing.push((c) => tooLate(world, report, c));
  },
};

export default [K5, K13, K16] satisfies readonly TraceRule[];
