/** Alters the text of a capture; the lines keep their places, save for those that are put in. */
import { type Event, NoPlace, type Trace } from './trace.ts';

const hexOf = (value: bigint): string => `0x${value.toString(16)}`;

export class Edits {
  readonly trace: Trace;
  private readonly changed = new Map<number, string>();
  private readonly inserted = new Map<number, string[]>();

  constructor(trace: Trace) {
    this.trace = trace;
  }

  /** It did not happen. */
  drop(...events: readonly Event[]): void {
    for (const { at } of events) this.changed.set(at, '#');
  }

  /** A change did not happen: neither its probe nor its tracepoint tell of it. */
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

  /** Gives a value another one. */
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

  /** It reads otherwise. */
  rewrite(e: Event, pattern: RegExp, by: string): void {
    const line = this.changed.get(e.at) ?? e.text;
    const rewritten = line.replace(pattern, by);
    if (rewritten === line) throw new NoPlace(`${line} has no ${pattern}`);
    this.changed.set(e.at, rewritten);
  }

  /** Puts the text of an event in behind another one. */
  insert(after: Event, text: string): void {
    this.inserted.set(after.at, [...(this.inserted.get(after.at) ?? []), text]);
  }

  /** An event with some of its values changed, as text. */
  like(e: Event, values: Readonly<Record<string, bigint | number>>): string {
    const edits = new Edits(this.trace);
    for (const [key, value] of Object.entries(values)) edits.set(e, key, value);
    return edits.changed.get(e.at) ?? e.text;
  }

  /** It happened later. */
  move(e: Event, after: Event): void {
    this.drop(e);
    this.insert(after, e.text);
  }

  /**
   * Number of the line that an event has in the end; of what was put in behind it when `behind` is
   * not 0.
   */
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

/** One thing made wrong: what a kernel with a bug would have told. */
export interface Alteration {
  readonly what: string;
  readonly rule: string;
  /** It is not known before the trace is over. */
  readonly whole?: boolean;
  /** Our own captures are too short to have such a place; this one has. */
  readonly elsewhere?: string;
  /**
   * Finds a place from a line on, alters it, and answers with the number of the line at which it
   * shows. Throws NoPlace when there is none.
   */
  readonly alter: (edits: Edits, from: number) => number;
}
