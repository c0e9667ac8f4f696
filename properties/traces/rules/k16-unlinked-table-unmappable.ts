/** K16 in a trace: entries of a table that is freed, and writes to a table that was unlinked. */
import { valuesOf, type Change } from '../state/change.ts';
import { FROZEN, hexOf, isPresent, kindOf } from '../state/spte.ts';
import { KNOWN, UNKNOWN, type Table } from '../state/table.ts';
import type { World } from '../state/world.ts';
import { gfnText } from './gfns.ts';
import type { TraceReporter, TraceRule } from './rule.ts';
import { nameOf, placedBy, unlinkedAt, whereOf } from './tables.ts';

/**
 * Index of an entry that a table may not hold when it is freed, or -1: one that is present, or, if
 * the table was unlinked under mmu_lock held for read, one that is not FROZEN.
 */
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

/** Reports writes to an unlinked table by tasks that cannot have reached it before. */
function judgeWrite(world: World, report: TraceReporter, c: Change): void {
  const { table } = c;
  if (table?.life !== 'removed' || c.newKind === FROZEN || c.direct || c.fit === 'late') return;
  const hold = c.task.holdOn(c.vm.id);
  if (table.removedShared && (hold === null || hold.line < table.removedLine)) return;
  report.violated(
    whereOf(world, c),
    `writes an entry of a table that was unlinked: ${valuesOf(c)}`,
    unlinkedAt(table),
  );
}

const rule: TraceRule = {
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
        { line: world.e.line, task, vm: table.vm, unless: placedBy(world) },
        `${nameOf(table)} is freed with ${value} for ${gfnText(table.gfnOf(i))}`,
        [...unlinkedAt(table), { line: table.lines[i] ?? 0, what: `${value} was written` }].filter(
          ({ line }) => line > 0,
        ),
      );
    });
    world.listeners.changing.push((c) => judgeWrite(world, report, c));
  },
};

export default rule;
