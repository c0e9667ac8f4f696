/**
 * Recognises the finding of the module that leaves a history unexplained (docs/findings.md, F1):
 * ACCEPT reports a wrong size because PAGE.AUG completed between its walk and its lock. All of this
 * must hold: ACCEPT returned PAGE_SIZE_MISMATCH with the level that it asked for, a PAGE.AUG of
 * that GPA and level succeeded at the same time, and without that ACCEPT the history is explained.
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

/** Returns the finding that `refused` shows, or null. `isExplained` searches again without it. */
export function knownFinding(
  events: readonly RecordedEvent[],
  refused: RecordedEvent | null,
  isExplained: (rest: readonly RecordedEvent[]) => boolean,
): { readonly finding: string; readonly why: string } | null {
  if (refused === null || !isRefusedForSize(refused)) return null;
  const aug = events.find(adds(refused));
  if (aug === undefined || !isExplained(events.filter((event) => event !== refused))) return null;
  const accept = `event ${refused.i} (${ACCEPT})`;
  const why = `${accept} reports a wrong size while event ${aug.i} (${AUG}) adds the page`;
  return { finding: 'F1', why: `known finding F1: ${why}` };
}
