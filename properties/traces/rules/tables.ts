/** Tables in violations: their names, and when they were unlinked. */
import type { Change } from '../state/change.ts';
import type { Table } from '../state/table.ts';
import type { World } from '../state/world.ts';
import type { Cause, Where } from './rule.ts';

export const nameOf = (table: Table): string =>
  `the table of GFN 0x${table.base.toString(16)} at level ${table.level} (page 0x${table.frame.toString(16)})`;

/**
 * A change whose table may be another one by now, of which another event tells where tables have
 * names.
 */
export const at = (world: World, { line, task, vm }: Change): Where => ({
  line,
  task,
  vm,
  unless: world.kernel?.namesTables === true ? ['init_sp'] : [],
});

export const removal = (table: Table): Cause[] =>
  table.removedLine === 0
    ? []
    : [{ line: table.removedLine, what: `${table.removedBy?.name ?? ''} unlinked it` }];

/** So many lines after a root was freed, what else it had was, too: callbacks run in batches. */
export const BATCH = 10;

/**
 * The probes that tell of VMs came together with one that misses no callback; others miss some in
 * interrupts.
 */
export const missesNone = (world: World): boolean =>
  world.hasSeen('vm_init') && world.hasSeen('free_rcu') && world.kernel?.namesTables === true;

export const placeOf = ({ base, level }: Table): string =>
  `the table of GFN 0x${base.toString(16)} at level ${level}`;
