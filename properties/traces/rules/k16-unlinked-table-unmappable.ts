import { valuesOf, type Change } from '../state/change.ts';
import { FROZEN, hexOf, isPresent, kindOf } from '../state/spte.ts';
import { KNOWN, UNKNOWN, type Table } from '../state/table.ts';
import type { World } from '../state/world.ts';
import type { TraceReporter, TraceRule } from './rule.ts';
import { at, nameOf, removal } from './tables.ts';

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

export default K16 satisfies TraceRule;
