/**
 * The finding of the module that makes a history unexplained (docs/findings.md, F1): ACCEPT is told
 * of a wrong size because PAGE.AUG completed between its walk and its lock. It is recognised by all
 * that makes it up, and by nothing less: that ACCEPT was answered PAGE_SIZE_MISMATCH with the very
 * level that it asked for, that a PAGE.AUG of that GPA and level succeeded while it was under way,
 * and that without that one answer the history is explained.
 */
import type { RecordedEvent } from './format.ts';

const ACCEPT = 'TDG.MEM.PAGE.ACCEPT';
const AUG = 'TDH.MEM.PAGE.AUG';
const SIZE_MISMATCH = 0xc0000b0bn;
const LEVEL_SHIFT = 32n;

const overlap = (a: RecordedEvent, b: RecordedEvent): boolean => a.inv < b.ret && b.inv < a.ret;

const isRefusedForSize = ({ op, result, status, in: { level } }: RecordedEvent): boolean =>
  op === ACCEPT &&
  result === 'RETURN' &&
  BigInt(status) === ((SIZE_MISMATCH << LEVEL_SHIFT) | BigInt(level ?? 0));

const adds =
  (accept: RecordedEvent) =>
  (event: RecordedEvent): boolean =>
    event.op === AUG &&
    BigInt(event.status) === 0n &&
    event.in.td === accept.in.td &&
    event.in.gpa === accept.in.gpa &&
    event.in.level === accept.in.level &&
    overlap(event, accept);

/** The finding that `refused` shows, or null. `isExplained` searches again, without it. */
export function knownFinding(
  events: readonly RecordedEvent[],
  refused: RecordedEvent | null,
  isExplained: (rest: readonly RecordedEvent[]) => boolean,
): { readonly finding: string; readonly why: string } | null {
  if (refused === null || !isRefusedForSize(refused)) return null;
  const aug = events.find(adds(refused));
  if (aug === undefined || !isExplained(events.filter((event) => event !== refused))) return null;
  const why = `event ${refused.i} (${ACCEPT}) is told of a wrong size while event ${aug.i} (${AUG}) adds the page`;
  return { finding: 'F1', why: `known finding F1: ${why}` };
}
