/** Tables in violations: their names, and when they were unlinked. */
import { sizeAt } from '../../../spec/machine/levels.ts';
import type { EventName } from '../reader/event-table.ts';
import type { Change } from '../state/change.ts';
import type { Table } from '../state/table.ts';
import type { World } from '../state/world.ts';
import { gfnText } from './gfns.ts';
import type { Cause, Where } from './rule.ts';

/** Size that the entries of a table map, e.g. `4K`. Traces count levels from 1. */
export const entrySize = ({ level }: Table): string => sizeAt(level - 1);

/** Name of a table by its place. */
export const placeOf = (table: Table): string =>
  `the table at ${gfnText(table.base)} (${entrySize(table)} entries)`;

/** Name of a table by its place and its page. */
export const nameOf = (table: Table): string =>
  `the table at ${gfnText(table.base)} ` +
  `(${entrySize(table)} entries, page 0x${table.frame.toString(16)})`;

/**
 * Place of a violation by a change whose table may have become another one. If tables have names,
 * `init_sp` would show that.
 */
export const whereOf = (world: World, { line, task, vm }: Change): Where => ({
  line,
  task,
  vm,
  unless: world.kernel?.namesTables === true ? ['init_sp'] : [],
});

/** Events that show in which table a change is, where changes do not name their tables. */
export const placedBy = ({ kernel }: World): readonly EventName[] => {
  if (kernel?.changesNameTables !== false) return [];
  return kernel.namesTables ? ['init_sp'] : ['map'];
};

/** Event that unlinked a table, if the trace has it. */
export const unlinkedAt = (table: Table): Cause[] =>
  table.removedLine === 0
    ? []
    : [{ line: table.removedLine, what: `${table.removedBy?.name ?? ''} unlinked the table` }];

/**
 * Number of lines after the free of a root within which its other tables may still be freed: RCU
 * callbacks run in batches.
 */
export const BATCH = 10;

/**
 * The trace has every RCU callback. The probes of VMs came together with a probe that misses no
 * callback; older probes miss some in interrupts.
 */
export const hasEveryCallback = (world: World): boolean =>
  world.hasSeen('vm_init') && world.hasSeen('free_rcu') && world.kernel?.namesTables === true;
