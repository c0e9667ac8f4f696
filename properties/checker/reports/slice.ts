/** Slices a timeline: selects the rows on which a violation depends. */
import { DEADLOCK, LIVELOCK } from '../../../spec/machine/faults.ts';
import { ENTRY_NAME } from '../../../spec/machine/levels.ts';
import type { Row } from './row.ts';
import type { Timeline } from './timeline.ts';

/**
 * The rows that matter for a violation. The slice begins with the violating row; for a violation
 * found at the end, with the rows that write what it names; when no actor could go on, with the
 * last rows of each actor. Going backwards it adds each row that changed what a kept row depends
 * on. The begin of a call matters when the call took a lock that a kept row was refused.
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
  return withLeadUp(rows, kept.toReversed());
}

/** A slice of fewer rows gets earlier rows of the operation of its last row. */
const FEW = 3;
/** The largest number of those earlier rows. */
const LEAD_UP = 4;

function withLeadUp(rows: readonly Row[], kept: readonly Row[]): Row[] {
  const last = kept.at(-1);
  if (last === undefined || kept.length >= FEW) return [...kept];
  const before = rows.slice(0, rows.indexOf(last)).filter((row) => row.actor === last.actor);
  const began = before.findLastIndex((row) => row.operation !== last.operation) + 1;
  const leadUp = new Set([...kept, ...before.slice(began).slice(-LEAD_UP)]);
  return rows.filter((row) => leadUp.has(row));
}

/** Names of entries and pages that a violation's text mentions. */
const namedIn = (text: string): string[] => [
  ...[...text.matchAll(ENTRY_NAME)].map(([name]) => `entry ${name}`),
  ...[...text.matchAll(/page \d+/g)].map(([name]) => name),
];

/** Rules that no single row breaks: an actor waits, or goes on, for ever. */
const STUCK = new Set(['S07', 'S08', DEADLOCK.id, LIVELOCK.id]);

/** Number of rows of each actor that are shown when no actor can go on: enough for one retry. */
const LAST = 3;

const lastOfEach = (rows: readonly Row[]): Row[] =>
  [...new Set(rows.map((row) => row.actor))].flatMap((actor) =>
    rows.filter((row) => row.actor === actor).slice(-LAST),
  );

const intersects = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean => {
  for (const name of a) if (b.has(name)) return true;
  return false;
};

/** Number of rows whose actor is another than that of the row before. */
export function contextSwitches(rows: readonly Row[]): number {
  let switches = 0;
  for (const [i, row] of rows.entries()) if (i > 0 && rows[i - 1]?.actor !== row.actor) switches++;
  return switches;
}
