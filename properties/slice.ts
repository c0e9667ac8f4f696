import type { Row, Timeline } from './timeline.ts';

/**
 * The rows that matter for a violation: the violating row, and going backwards each row that changed something that a
 * kept row depends on. A row that never ended (a call in progress) is kept when a kept row was refused a lock it holds.
 */
export function rowsThatMatter({ rows, atRest }: Timeline): Row[] {
  const needed = new Set<string>();
  const kept: Row[] = [];
  for (const row of rows.toReversed()) {
    const matters = row.violating || (atRest && kept.length === 0 && row.change !== '') || intersects(row.writes, needed);
    if (!matters) continue;
    kept.push(row);
    for (const name of row.reads) needed.add(name);
    for (const name of row.writes) needed.add(name);
  }
  return kept.toReversed();
}

const intersects = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean => {
  for (const name of a) if (b.has(name)) return true;
  return false;
};

/** How often the acting actor changes from one row to the next. */
export function contextSwitches(rows: readonly Row[]): number {
  let switches = 0;
  for (const [i, row] of rows.entries()) if (i > 0 && rows[i - 1]?.actor !== row.actor) switches++;
  return switches;
}
