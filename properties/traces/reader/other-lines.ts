/** Lines that are not events: of tracefs, of trace-cmd report, of perf script. */
import { ASCII } from './ascii.ts';

/**
 * Kind of a line. `started`: until here, events of a CPU are missing, because its buffer was
 * overwritten.
 */
export type LineKind = 'event' | 'unknown' | 'comment' | 'lost' | 'started' | 'unreadable';

export interface OtherLine {
  readonly kind: LineKind;
  /** CPU whose events are missing. */
  readonly cpu: number;
  /** Number of lost events; 0 if the line has no number. */
  readonly lost: number;
}

const KINDS: readonly (readonly [LineKind, RegExp])[] = [
  ['comment', /^$/],
  ['started', /^##### CPU (?<cpu>\d+) buffer started ####$/],
  ['comment', /^(?:#.*|cpus=\d+|version = \d+|CPU \d+ is empty)$/],
  // a call chain, of options/stacktrace or perf record -g
  ['comment', /^(?:=> .*|.*: <stack trace>|[\da-f]{8,16} .*\(.*\))$/],
  ['lost', /^CPU:(?<cpu>\d+) \[LOST (?:(?<lost>\d+) )?EVENTS\]$/],
  ['lost', /^CPU:(?<cpu>\d+) \[(?:(?<lost>\d+) )?EVENTS DROPPED\]$/],
  ['lost', / \[(?<cpu>\d+)\] .*: PERF_RECORD_LOST lost (?<lost>\d+)$/],
];
/** Longest line of another kind. */
const CHARACTERS = 1000;

const COMMENT: OtherLine = { kind: 'comment', cpu: 0, lost: 0 };
const UNREADABLE: OtherLine = { kind: 'unreadable', cpu: 0, lost: 0 };

/** Returns what a line in `bytes`, from offset `from` to `to`, says if it is no event. */
export function otherLine(bytes: Uint8Array, from: number, to: number): OtherLine {
  if (to - from > CHARACTERS) return bytes[from] === ASCII.HASH ? COMMENT : UNREADABLE;
  const text = Buffer.from(bytes.subarray(from, to)).toString('latin1').trim();
  for (const [kind, pattern] of KINDS) {
    const match = pattern.exec(text);
    if (match === null) continue;
    const { cpu, lost } = match.groups ?? {};
    return { kind, cpu: Number(cpu ?? 0), lost: Number(lost ?? 0) };
  }
  return UNREADABLE;
}
