/** A row of a timeline: one visible action of an actor, with what it changed. */
export interface Row {
  readonly actor: number;
  /** The operation it belongs to, e.g. `unmap 0+2`. */
  readonly operation: string;
  /** The entry it is about, e.g. `0@2M`; empty for actions that are about none. */
  readonly subject: string;
  /** What was done, e.g. `SEPT.ADD 0@2M -> SUCCESS`; empty when only the mirror changed. */
  text: string;
  /** What it changed: `before -> after` in the Secure EPT and in the mirror. */
  sept: Change | null;
  mirror: Change | null;
  /** Any other detail. */
  readonly remark: string;
  /** Names of what it changed or took, and of what it depends on: a slice follows them back. */
  readonly writes: Set<string>;
  readonly reads: Set<string>;
  /** The row at which the rule broke. */
  violating: boolean;
}

interface Change {
  readonly before: string;
  after: string;
}

/**
 * The next row can merge into the last: the same actor, operation and entry, and a call after a
 * change of the mirror, or a change of the mirror that completes one in the row.
 */
export const canMerge = (last: Row, next: Row): boolean =>
  last.subject !== '' &&
  last.subject === next.subject &&
  last.actor === next.actor &&
  last.operation === next.operation &&
  last.mirror !== null &&
  (last.text === '' || next.text === '');

/** Merges a row into the last. */
export function merge(last: Row, next: Row): void {
  last.text ||= next.text;
  last.sept ??= next.sept;
  if (next.mirror !== null) {
    if (last.mirror === null) last.mirror = next.mirror;
    else last.mirror.after = next.mirror.after;
  }
  withNames(last, next.writes, next.reads);
}

/** Adds names to a row. */
export function withNames(row: Row, writes: Iterable<string>, reads: Iterable<string>): Row {
  for (const name of writes) row.writes.add(name);
  for (const name of reads) row.reads.add(name);
  return row;
}
