import { DEADLOCK, LIVELOCK } from '../../spec/machine/faults.ts';
import type { Row, Timeline } from './timeline.ts';

/**
 * The rows that matter for a violation: the row at which the rule fired (or, when it fired at rest, the rows about what
 * the violation names; when nobody could go on, what each actor did last), and going backwards each row that changed
 * something which a kept row depends on. The beginning of a call in progress matters when it took a lock that a kept
 * row was refused.
 */
export function rowsThatMatter({ rows, violation }: Timeline): Row[] {
  if (violation === null) return [...rows];
  const marked = rows.some((row) => row.violating);
  const stuck = STUCK.has(violation.rule);
  const needed = new Set(marked || stuck ? [] : namedIn(`${violation.expected} ${violation.seen}`));
  const seeds = new Set(!marked && (stuck || needed.size === 0) ? lastOfEach(rows) : []);
  const kept: Row[] = [];
  for (const row of rows.toReversed()) {
    if (!row.violating && !seeds.has(row) && !intersects(row.writes, needed)) continue;
    kept.push(row);
    for (const name of row.reads) needed.add(name);
    for (const name of row.writes) if (!name.startsWith('lock ')) needed.add(name);
  }
  return kept.toReversed();
}

/** Names of entries and pages that a violation's text mentions. */
const namedIn = (text: string): string[] => [
  ...[...text.matchAll(/\d+@L\d/g)].map(([name]) => `entry ${name}`),
  ...[...text.matchAll(/page \d+/g)].map(([name]) => name),
];

/** Rules that are broken by nobody in particular: somebody waits, or goes on, for ever. */
const STUCK = new Set(['S07', 'S08', DEADLOCK.id, LIVELOCK.id]);

/** How much of what each actor did last is shown when nobody can go on: enough to see a retry come round. */
const LAST = 3;

const lastOfEach = (rows: readonly Row[]): Row[] =>
  [...new Set(rows.map((row) => row.actor))].flatMap((actor) => rows.filter((row) => row.actor === actor).slice(-LAST));

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
