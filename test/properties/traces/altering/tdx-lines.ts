/** Traces of TDs, emitted from runs, and edits of their lines. */
import { POLICIES } from '../../../../impl/index.ts';
import { parseScenario } from '../../../../properties/checker/scenarios/text.ts';
import { Emitter } from '../../../../properties/traces/emit/emit.ts';

/** Trace of a run that obeys every rule. */
function emitted(name: string, text: string): string[] {
  const policy = POLICIES.find((one) => one.name === name);
  if (policy === undefined) throw new Error(`no policy ${name}`);
  const { lines, violation } = new Emitter({ policy, module: '1.5' }).emit(parseScenario(text));
  if (violation !== null) throw new Error(`${name} breaks ${violation.rule}`);
  return [...lines];
}

/** A page is mapped and unmapped. */
export const PLAIN = emitted('upstream-6.16', 'v0: touch 0 | h0: unmap 0');
const BUSY_SCENARIO =
  'v0: accept-huge 0; accept 0 | h0: unmap 0 | v1: accept-huge 0 | @v1.0.34>1 @v0.1.0>2 @v0.0.37>1';
/** A removal is refused as BUSY, because a guest accepts the page. */
export const BUSY = emitted('upstream-6.16', BUSY_SCENARIO);
/** A large page is split. */
export const SPLIT = emitted('huge-pages-v5', 'v0: accept-huge 0 | h0: unmap 0');
/** Two pages are merged into a large one. */
export const MERGED = emitted('exclusive', 'v0: accept 0; accept 1 | h0: promote 0');
/** A memslot is deleted. */
export const DELETED = emitted('upstream-6.16', 'v0: touch 0 | h0: remove-slot 0');

/** Matches a line with an event of that name. */
export const eventNamed = (event: string): RegExp => new RegExp(`: ${event}: `);

/** Index of the n-th event of that name; a negative n counts from the end. */
export function find(lines: readonly string[], event: string, n = 0): number {
  const all = lines.flatMap((line, i) => (eventNamed(event).test(line) ? [i] : []));
  const at = all.at(n);
  if (at === undefined) throw new Error(`no event ${event}`);
  return at;
}

/** Index of the next event of that name after a line. */
export function after(lines: readonly string[], at: number, event: string): number {
  const next = lines.findIndex((line, i) => i > at && eventNamed(event).test(line));
  if (next < 0) throw new Error(`no event ${event} after line ${at + 1}`);
  return next;
}

/** Drops an event; the other lines keep their numbers. Returns its index. */
export const drop = (lines: string[], at: number): number => {
  lines[at] = '#';
  return at;
};

/** Replaces text in a line. Returns its index. */
export function edit(lines: string[], at: number, from: string | RegExp, to: string): number {
  const edited = (lines[at] ?? '').replace(from, to);
  if (edited === lines[at]) throw new Error(`line ${at + 1} has no ${from}`);
  lines[at] = edited;
  return at;
}

/** Drops a call: its begin and its return. */
export const dropCall = (lines: string[], call: string, n = 0): void => {
  drop(lines, find(lines, `${call}_ret`, n));
  drop(lines, find(lines, call, n));
};

/** One edit of a trace of a TD, which makes it the trace of a kernel with a bug. */
export interface TdxAlteration {
  /** The bug, as a clause after `when`. */
  readonly what: string;
  readonly of: readonly string[];
  readonly rule: string;
  /** Edits the lines, and returns the index of the line at which the bug shows. */
  readonly alter: (lines: string[]) => number;
}
