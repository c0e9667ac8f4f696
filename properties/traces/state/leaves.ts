/** Searches tables for the leaves that map a range of GFNs. */
import { frameOf, kindOf, LEAF, TABLE } from './spte.ts';
import { UNKNOWN, type Table } from './table.ts';
import type { World } from './world.ts';

/**
 * Calls `visit` with each leaf under `table` that maps a GFN of [start, end) until `visit` returns
 * true. Returns whether it did.
 */
export function someLeaf(
  world: World,
  table: Table,
  start: number,
  end: number,
  visit: (table: Table, index: number) => boolean,
): boolean {
  const layout = world.kernel?.layout;
  if (layout === undefined || table.life === 'freed') return false;
  const [first, last] = table.span(start, end);
  for (let i = first; i <= last; i++) {
    if (table.known[i] === UNKNOWN) continue;
    const [hi, lo] = [table.hi[i] ?? 0, table.lo[i] ?? 0];
    const kind = kindOf(layout, table.level, hi, lo);
    if (kind === LEAF && visit(table, i)) return true;
    const below = kind === TABLE ? world.tables.get(frameOf(hi, lo)) : undefined;
    if (
      below !== undefined &&
      below.level < table.level &&
      someLeaf(world, below, start, end, visit)
    )
      return true;
  }
  return false;
}
