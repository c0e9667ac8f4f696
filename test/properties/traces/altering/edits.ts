/** Edits the text of a capture. Lines keep their numbers, except after an inserted line. */
import { atTimeOf } from './times.ts';
import { type Event, NoPlace, type Trace } from './trace.ts';

const hexOf = (value: bigint): string => `0x${value.toString(16)}`;

export class Edits {
  readonly trace: Trace;
  private readonly changed = new Map<number, string>();
  private readonly inserted = new Map<number, string[]>();

  constructor(trace: Trace) {
    this.trace = trace;
  }

  /** Removes events. */
  drop(...events: readonly Event[]): void {
    for (const { at } of events) this.changed.set(at, '#');
  }

  /** Removes a change: the event of its probe and that of its tracepoint. */
  undo(change: Event): void {
    this.drop(change, this.tracepointOf(change));
  }

  tracepointOf(change: Event): Event {
    const gfn = /gfn=0x(\w+)/.exec(change.text)?.[1] ?? '';
    const level = /level=(\d)/.exec(change.text)?.[1] ?? '';
    return this.trace.next(
      change,
      ({ name, text }) =>
        name === 'kvm_tdp_mmu_spte_changed' && text.includes(` gfn ${gfn} level ${level} `),
    );
  }

  /** Replaces a value of an event. */
  set(e: Event, key: string, value: bigint | number): void {
    const line = this.changed.get(e.at) ?? e.text;
    const pattern = new RegExp(` ${key}=(0x)?\\w+`);
    if (!pattern.test(line)) throw new NoPlace(`${line} has no ${key}`);
    this.changed.set(
      e.at,
      line.replace(
        pattern,
        (_, hex?: string) => ` ${key}=${hex === undefined ? String(value) : hexOf(BigInt(value))}`,
      ),
    );
  }

  /** Replaces text of an event. */
  rewrite(e: Event, pattern: RegExp, by: string): void {
    const line = this.changed.get(e.at) ?? e.text;
    const rewritten = line.replace(pattern, by);
    if (rewritten === line) throw new NoPlace(`${line} has no ${pattern}`);
    this.changed.set(e.at, rewritten);
  }

  /** Inserts the text of an event after another event, and at the same time. */
  insert(after: Event, text: string): void {
    const inserted = this.inserted.get(after.at) ?? [];
    this.inserted.set(after.at, [...inserted, atTimeOf(text, after.text)]);
  }

  /** Text of an event with some of its values replaced. */
  like(e: Event, values: Readonly<Record<string, bigint | number>>): string {
    const edits = new Edits(this.trace);
    for (const [key, value] of Object.entries(values)) edits.set(e, key, value);
    return edits.changed.get(e.at) ?? e.text;
  }

  /** Moves an event to after another. */
  move(e: Event, after: Event): void {
    this.drop(e);
    this.insert(after, e.text);
  }

  /** Line of an event in the edited text, or of the line inserted `behind` lines after it. */
  lineOf({ at }: Event, behind = 0): number {
    let line = at + 1 + behind;
    for (const [after, texts] of this.inserted) if (after < at) line += texts.length;
    return line;
  }

  lines(): string[] {
    return this.trace.lines.flatMap((line, i) => [
      this.changed.get(i) ?? line,
      ...(this.inserted.get(i) ?? []),
    ]);
  }
}

/** One edit of a capture, which makes it the trace of a kernel with a bug. */
export interface Alteration {
  /** The bug, as a clause after `when`. */
  readonly what: string;
  readonly rule: string;
  /** The violation is reported only at the end of the trace. */
  readonly whole?: boolean;
  /** Name of a larger capture that has a place for the edit, if those in recordings/ have none. */
  readonly elsewhere?: string;
  /**
   * Finds a place from line index `from` on, edits it, and returns the line, from 1, at which the
   * bug shows.
   *
   * @throws NoPlace if the capture has no such place.
   */
  readonly alter: (edits: Edits, from: number) => number;
}
