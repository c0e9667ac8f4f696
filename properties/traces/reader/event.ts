/** One event of a trace, read from the bytes of its line. One object is reused for every line. */
import { ASCII, DIGITS } from './ascii.ts';
import { KIND_BY_HASH, type EventKind } from './event-table.ts';
import { Header } from './header.ts';
import {
  hashOf,
  hashOfText,
  hashWith,
  KEYS,
  PROBE_SLOTS,
  RAW_SLOTS,
  SLOT,
  WORD_SLOTS,
  type Key,
} from './keys.ts';
import { otherLine, type LineKind } from './other-lines.ts';
import { Values } from './values.ts';

const { SPACE, HASH, OPEN, CLOSE, PLUS, COMMA, COLON, EQUALS, LETTER_X } = ASCII;
const DIGIT = DIGITS;

/**
 * Beginnings of the comments that declare something about a trace: the events that were recorded,
 * to distinguish an event that never happened from one without a probe; the number of entries of a
 * table, for a model; the kernel's preemption mode.
 */
export const DECLARATIONS = {
  probes: '# probes:',
  entries: '# entries of a table:',
  preemption: '# preemption:',
} as const;
export type Declaration = keyof typeof DECLARATIONS;

/** Digits of an address of the kernel, where a recorder does not resolve it to a name. */
const ADDRESS_DIGITS = 16;
/** Names under which raw output has the addresses of a probe's function, and of its caller. */
const [RAW_IP, RAW_FUNCTION, RAW_RETURN] = ['ip', 'func', 'ret_ip'].map((name) =>
  hashOfText(`__probe_${name}`),
);

/** Lower 53 bits of an address, which fit a number. Kernel addresses have all upper bits set. */
const address = (hi: number, lo: number): number => (hi & 0x1f_ffff) * 2 ** 32 + (lo >>> 0);

export class TraceEvent {
  /** 1-based. */
  line = 0;
  kind: EventKind | null = null;
  /** Hash of the function in a probe's parentheses; for a return probe, that is the caller. */
  caller = 0;
  /** Address of the probed function, where the recorder prints addresses instead of names, or 0. */
  probed = 0;
  /** Address to which the probed function returns, where the recorder prints addresses, or 0. */
  returnsTo = 0;
  /** Number of events that a line of kind `lost` reports; 0 if it has no number. */
  lost = 0;
  /** Offset in the bytes at which another event begins on the same line, or -1. */
  next = -1;
  private readonly header = new Header();
  private readonly ahead = new Header();
  private readonly values = new Values();
  /** Old versions of libtraceevent print raw fields in decimal, and addresses with 0x. */
  private isRawDecimal = false;
  private bytes: Uint8Array = new Uint8Array(0);
  private from = 0;
  private to = 0;

  get pid(): number {
    return this.header.pid;
  }

  get cpu(): number {
    return this.header.cpu;
  }

  /** Digits of the time: comparable within a trace, whatever its unit is. */
  get time(): number {
    return this.header.time;
  }

  /** Whether the line shows if the event was emitted in interrupt context. */
  get hasFlags(): boolean {
    return this.header.hasFlags;
  }

  /** Emitted in interrupt context, and therefore not by the task of the line. */
  get inInterrupt(): boolean {
    return this.header.inInterrupt;
  }

  has(key: Key): boolean {
    return this.values.has(SLOT[key]);
  }

  /** Upper half of a value, signed; 0 when the event has none. */
  high(key: Key): number {
    return this.has(key) ? (this.values.hi[SLOT[key]] ?? 0) : 0;
  }

  /** Lower half of a value, signed; 0 when the event has none. */
  low(key: Key): number {
    return this.has(key) ? (this.values.lo[SLOT[key]] ?? 0) : 0;
  }

  /** A value of up to 53 bits, or an address without its upper bits; 0 when the event has none. */
  number(key: Key): number {
    return this.has(key) ? this.addressIn(SLOT[key]) : 0;
  }

  private addressIn(slot: number): number {
    return address(this.values.hi[slot] ?? 0, this.values.lo[slot] ?? 0);
  }

  /** Whether a key's text is no number. */
  get hasNotNumbers(): boolean {
    return this.values.notNumbers.length > 0;
  }

  /** Keys whose text is no number, such as `(fault)`: the event has none of them. */
  notNumbers(): readonly Key[] {
    return this.values.notNumbers.flatMap((slot) => KEYS[slot] ?? []);
  }

  /** The whole line. */
  text(): string {
    return this.textOf(this.from, this.to).trim();
  }

  /** Name and id of the task, as ftrace prints them. */
  task(): string {
    return this.header.task(this.bytes);
  }

  name(): string {
    return this.textOf(this.header.nameFrom, this.header.nameTo);
  }

  private textOf(from: number, to: number): string {
    return Buffer.from(this.bytes.subarray(from, to)).toString('latin1');
  }

  /** Words of the comment, if it declares `what`; otherwise none. */
  declared(what: Declaration): readonly string[] {
    const text = this.text();
    const begins = DECLARATIONS[what];
    return text.startsWith(begins)
      ? text
          .slice(begins.length)
          .split(' ')
          .filter((word) => word !== '')
      : NONE;
  }

  /** Reads the line in `bytes` from offset `from` to that of its newline, `to`. */
  read(bytes: Uint8Array, from: number, to: number, line: number): LineKind {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
    this.line = line;
    this.kind = null;
    this.next = -1;
    this.caller = 0;
    this.probed = 0;
    this.returnsTo = 0;
    this.values.clear();
    const { header } = this;
    const body = bytes[from] === HASH ? -1 : header.read(bytes, from, to);
    if (body < 0) return this.otherKind();
    this.kind = KIND_BY_HASH.get(hashOf(bytes, header.nameFrom, header.nameTo)) ?? null;
    if (this.kind === null) return 'unknown';
    if (this.kind.form === 'probe') this.readProbe(body);
    else if (this.kind.form === 'words') this.readWords(body);
    else this.findNext(body);
    return 'event';
  }

  private otherKind(): LineKind {
    const { kind, cpu, lost } = otherLine(this.bytes, this.from, this.to);
    this.header.cpu = cpu;
    this.lost = lost;
    return kind;
  }

  /** Reads ` (function+0x1/0x2 [module]) key=value …`, or raw ` __probe_ip=address key=value …`. */
  private readProbe(body: number): void {
    const { bytes, to } = this;
    let i = body;
    while (i < to && bytes[i] === SPACE) i++;
    if (bytes[i] === OPEN) i = this.readFunctions(i + 1);
    while (i < to) {
      let [name, code] = [0, bytes[i] ?? 0];
      while (i < to && code !== EQUALS && code !== SPACE) {
        name = hashWith(name, code);
        code = bytes[++i] ?? 0;
      }
      if (code === EQUALS && i < to) i = this.readField(name, i + 1);
      while (i < to && bytes[i] !== SPACE) i++;
      i++;
    }
  }

  /** Reads the value at `i` of the field with this hash of its name. */
  private readField(name: number, i: number): number {
    const slot = PROBE_SLOTS.get(name);
    if (slot !== undefined) return this.values.read(slot, this.bytes, i, this.to, 10);
    if (name === RAW_IP || name === RAW_FUNCTION) this.probed = this.rawAddress(i);
    else if (name === RAW_RETURN) this.returnsTo = this.rawAddress(i);
    return i;
  }

  /** Returns the address at `i`, with or without a prefix 0x. */
  private rawAddress(i: number): number {
    this.isRawDecimal = this.bytes[i + 1] === LETTER_X;
    const from = this.isRawDecimal ? i + 2 : i;
    return this.addressAt(from, from + ADDRESS_DIGITS);
  }

  /**
   * Reads `function+0x1/0x2 [module])`, `caller+0x1/0x2 <- function)`, or in their place addresses:
   * `function)`, `function <- return address)`. Returns the offset after it.
   */
  private readFunctions(start: number): number {
    const { bytes, to } = this;
    let [i, name, code] = [start, 0, bytes[start] ?? 0];
    while (i < to && code !== PLUS && code !== CLOSE && code !== SPACE) {
      name = hashWith(name, code);
      code = bytes[++i] ?? 0;
    }
    if (i - start === ADDRESS_DIGITS) this.probed = this.addressAt(start, i);
    if (this.probed === 0) this.caller = name;
    else if (bytes[i] === SPACE) {
      const returnsTo = i + ' <- '.length;
      this.returnsTo = this.addressAt(returnsTo, returnsTo + ADDRESS_DIGITS);
    }
    while (i < to && bytes[i] !== CLOSE) i++;
    return i + 1;
  }

  /** Returns the address whose digits begin at `from` and end at `to`; 0 if they are none. */
  private addressAt(from: number, to: number): number {
    let [hi, lo] = [0, 0];
    for (let i = from; i < to; i++) {
      const digit = i < this.to ? (DIGIT[this.bytes[i] ?? 0] ?? 255) : 255;
      if (digit > 15) return 0;
      hi = (hi << 4) | (lo >>> 28);
      lo = (lo << 4) | digit;
    }
    return address(hi, lo);
  }

  /** Reads ` word value word: value, …`, or raw ` word=value …`, and skips unknown words. */
  private readWords(body: number): void {
    const { bytes, to, values } = this;
    let i = body;
    while (i < to) {
      let [word, code] = [0, bytes[i] ?? 0];
      while (i < to && !endsWord(code)) {
        word = hashWith(word, code);
        code = bytes[++i] ?? 0;
      }
      i++;
      if (word === 0) continue;
      const isRaw = code === EQUALS;
      const known = (isRaw ? RAW_SLOTS : WORD_SLOTS).get(word);
      if (known === undefined) continue;
      const base = isRaw && this.isRawDecimal ? 10 : known & 31;
      i = values.read(known >>> 5, bytes, i, to, base);
    }
  }

  /**
   * Finds the next event on the line: Linux 6.1 prints some events without their body and without a
   * newline.
   */
  private findNext(body: number): void {
    const { bytes, to } = this;
    let i = body;
    while (i < to && bytes[i] === SPACE) i++;
    // a body follows one space in tracefs, and several in trace-cmd report
    if (i - body < 2 || i >= to || this.ahead.read(bytes, body + 1, to) < 0) return;
    this.next = body + 1;
  }
}

const NONE: readonly never[] = [];

const endsWord = (code: number): boolean =>
  code === SPACE || code === COLON || code === COMMA || code === EQUALS;
