/** Roots in violations: since when one is invalid, and which of its entries are present. */
import type { EventName } from '../reader/event-table.ts';
import { hexOf, isPresent, kindOf } from '../state/spte.ts';
import { UNKNOWN, type Table } from '../state/table.ts';
import type { World } from '../state/world.ts';
import { gfnText } from './gfns.ts';
import type { Cause } from './rule.ts';

/** Events of which a trace must have one, to show that the page of a root is another root's now. */
export const ROOT_REUSE: readonly EventName[] = ['init_sp', 'free_rcu'];

/** Event that would show, where no other does, that a page belongs to another table now. */
export const reusedBy = (world: World): EventName[] =>
  world.kernel?.namesTables === true && !world.hasSeen('free_rcu') ? ['init_sp'] : [];

/** Event that made a root invalid, if the trace has it. */
export const invalidSince = (root: Table): Cause[] =>
  root.invalidLine === 0 ? [] : [{ line: root.invalidLine, what: 'the root was made invalid' }];

/** Index of a present entry of a root, or -1. */
export function presentEntry(world: World, root: Table): number {
  const layout = world.kernel?.layout;
  if (layout === undefined) return -1;
  return root.lo.findIndex(
    (lo, i) =>
      root.known[i] !== UNKNOWN && isPresent(kindOf(layout, root.level, root.hi[i] ?? 0, lo)),
  );
}

/** Value and GFN of an entry. */
export const entryText = (root: Table, i: number): string =>
  `${hexOf(root.hi[i] ?? 0, root.lo[i] ?? 0)} for ${gfnText(root.gfnOf(i))}`;
