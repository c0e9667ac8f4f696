/** One event of a trace, read from the bytes of its line. One object is reused for every line. */
import { KIND_BY_HASH, type EventKind } from './event-table.ts';
import { hashOf, PROBE_SLOTS, SLOT, SLOTS, WORD_SLOTS, type Key } from './keys.ts';

const [SPACE, MINUS, COLON, EQUALS, COMMA] = [0x20, 0x2d, 0x3a, 0x3d, 0x2c];
const [OPEN, CLOSE, BRACKET, UNBRACKET, PLUS, LETTER_X] = [0x28, 0x29, 0x5b, 0x5d, 0x2b, 0x78];
/** Column at which the process id begins: the task's name before it is padded to 16 columns. */
const PID_COLUMN = 17;
/** Values of the third flag for events in soft and hard interrupts. */
const INTERRUPTS = new Set([...'sShHzZ'].map((letter) => letter.charCodeAt(0)));

const DIGIT = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code));
  return value < 0 ? 255 : value;
});

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

/** Kind of a line. */
export type LineKind = 'event' | 'unknown' | 'comment' | 'lost' | 'unreadable';

/** Lower 53 bits of an address, which fit a number. Kernel addresses have all upper bits set. */
const address = (hi: number, lo: number): number => (hi & 0x1f_ffff) * 2 ** 32 + (lo >>> 0);

export class TraceEvent {
  /** 1-based. */
  line = 0;
  kind: EventKind | null = null;
  pid = 0;
  cpu = 0;
  /** Emitted in interrupt context, and therefore not by the task of the line. */
  inInterrupt = false;
  /** Hash of the function in a probe's parentheses; for a return probe, that is the caller. */
  caller = 0;
  /** Offset in the bytes at which another event begins on the same line, or -1. */
  next = -1;
  private readonly hi = new Int32Array(SLOTS);
  private readonly lo = new Int32Array(SLOTS);
  private readonly stamps = new Float64Array(SLOTS);
  private stamp = 0;
  private bytes: Uint8Array = new Uint8Array(0);
  private from = 0;
  private to = 0;
  private nameFrom = 0;
  private nameTo = 0;
  private pidAt = 0;

  has(key: Key): boolean {
    return this.stamps[SLOT[key]] === this.stamp;
  }

  /** Upper half of a value, signed; 0 when the event has none. */
  high(key: Key): number {
    return this.has(key) ? (this.hi[SLOT[key]] ?? 0) : 0;
  }

  /** Lower half of a value, signed; 0 when the event has none. */
  low(key: Key): number {
    return this.has(key) ? (this.lo[SLOT[key]] ?? 0) : 0;
  }

  /** A value of up to 53 bits, or an address without its upper bits; 0 when the event has none. */
  number(key: Key): number {
    return this.has(key) ? address(this.hi[SLOT[key]] ?? 0, this.lo[SLOT[key]] ?? 0) : 0;
  }

  /** The whole line. */
  text(): string {
    return Buffer.from(this.bytes.subarray(this.from, this.to)).toString('latin1').trim();
  }

  /** Name and id of the task, as in the line. */
  task(): string {
    return (
      Buffer.from(this.bytes.subarray(this.from, this.pidAt)).toString('latin1').trim() + this.pid
    );
  }

  name(): string {
    return Buffer.from(this.bytes.subarray(this.nameFrom, this.nameTo)).toString('latin1');
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
      : [];
  }

  /** Reads the line in `bytes` from offset `from` to that of its newline, `to`. */
  read(bytes: Uint8Array, from: number, to: number, line: number): LineKind {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
    this.line = line;
    this.stamp++;
    this.next = -1;
    this.caller = 0;
    if (to <= from || bytes[from] === 0x23) return 'comment';
    const body = this.readHeader();
    if (body < 0) return this.lostOrUnreadable();
    this.kind = KIND_BY_HASH.get(hashOf(bytes, this.nameFrom, this.nameTo)) ?? null;
    if (this.kind === null) return 'unknown';
    if (this.kind.form === 'probe') this.readProbe(body);
    else if (this.kind.form === 'words') this.readWords(body);
    else this.findNext(body);
    return 'event';
  }

  /** Reads `TASK-PID [CPU] FLAGS TIME: NAME:`. Returns the offset after it, or -1. */
  private readHeader(): number {
    const { bytes, from, to } = this;
    let i = this.findCpu();
    if (i < 0) return -1;
    let cpu = 0;
    for (i++; bytes[i] !== UNBRACKET; i++) cpu = cpu * 10 + (DIGIT[bytes[i] ?? 0] ?? 0);
    this.cpu = cpu;
    i += 2;
    let flag = i;
    while (i < to && bytes[i] !== SPACE) i++;
    flag += i - flag > 2 ? 2 : 0;
    this.inInterrupt = INTERRUPTS.has(bytes[flag] ?? 0);
    while (i < to && bytes[i] !== COLON) i++;
    this.nameFrom = i + 2;
    for (i = this.nameFrom; i < to && bytes[i] !== COLON; i++) if (bytes[i] === SPACE) return -1;
    this.nameTo = i;
    return i >= to || this.nameFrom <= from ? -1 : i + 1;
  }

  /** Reads the process id. Returns the offset of the `[CPU]` after it, or -1. */
  private findCpu(): number {
    const { bytes, from, to } = this;
    let i = bytes[from + PID_COLUMN - 1] === MINUS ? from + PID_COLUMN : from;
    for (; i < to; i++) {
      if (bytes[i] === BRACKET && bytes[i - 1] === SPACE && (DIGIT[bytes[i + 1] ?? 0] ?? 255) < 10)
        break;
    }
    if (i >= to) return -1;
    let end = i - 1;
    while (end > from && bytes[end] === SPACE) end--;
    // skip the thread group id, if it is recorded
    if (bytes[end] === CLOSE) {
      while (end > from && bytes[end] !== OPEN) end--;
      for (end--; end > from && bytes[end] === SPACE;) end--;
    }
    let [pid, power, at] = [0, 1, end];
    for (; at > from && (DIGIT[bytes[at] ?? 0] ?? 255) < 10; at--, power *= 10)
      pid += (DIGIT[bytes[at] ?? 0] ?? 0) * power;
    if (at === end || bytes[at] !== MINUS) return -1;
    this.pid = pid;
    this.pidAt = at + 1;
    return i;
  }

  private lostOrUnreadable(): LineKind {
    const text = this.text();
    if (text === '') return 'comment';
    return /^CPU:\d+ \[LOST .*EVENTS\]$/.test(text) ? 'lost' : 'unreadable';
  }

  /** Reads ` (function+0x1/0x2 [module]) key=value …`. */
  private readProbe(body: number): void {
    const { bytes, to } = this;
    let i = body + 2;
    let start = i;
    while (i < to && bytes[i] !== PLUS && bytes[i] !== CLOSE) i++;
    this.caller = hashOf(bytes, start, i);
    while (i < to && bytes[i] !== CLOSE) i++;
    i += 2;
    while (i < to) {
      start = i;
      while (i < to && bytes[i] !== EQUALS) i++;
      const slot = PROBE_SLOTS.get(hashOf(bytes, start, i));
      i++;
      if (slot !== undefined) i = this.readNumber(slot, i, 10);
      while (i < to && bytes[i] !== SPACE) i++;
      i++;
    }
  }

  /** Reads ` word value word: value, …`, and skips unknown words. */
  private readWords(body: number): void {
    const { bytes, to } = this;
    let i = body + 1;
    while (i < to) {
      const start = i;
      while (i < to && bytes[i] !== SPACE && bytes[i] !== COLON && bytes[i] !== COMMA) i++;
      const known = WORD_SLOTS.get(hashOf(bytes, start, i));
      i++;
      if (known !== undefined) i = this.readNumber(known >>> 5, i, known & 31);
    }
  }

  /**
   * Reads the digits at `i` into a slot. A prefix 0x makes them hexadecimal, whatever `base` is.
   * Returns the offset after them.
   */
  private readNumber(slot: number, i: number, base: number): number {
    const { bytes, to } = this;
    const hexadecimal = bytes[i + 1] === LETTER_X;
    if (hexadecimal || base === 16) return this.readHex(slot, hexadecimal ? i + 2 : i);
    const negative = bytes[i] === MINUS;
    let value = 0;
    for (i += negative ? 1 : 0; i < to; i++) {
      const digit = DIGIT[bytes[i] ?? 0] ?? 255;
      if (digit > 9) break;
      value = value * 10 + digit;
    }
    this.hi[slot] = negative ? -1 : value / 2 ** 32;
    this.lo[slot] = negative ? -value : value;
    this.stamps[slot] = this.stamp;
    return i;
  }

  private readHex(slot: number, i: number): number {
    const { bytes, to } = this;
    let [hi, lo] = [0, 0];
    for (; i < to; i++) {
      const digit = DIGIT[bytes[i] ?? 0] ?? 255;
      if (digit > 15) break;
      hi = (hi << 4) | (lo >>> 28);
      lo = (lo << 4) | digit;
    }
    this.hi[slot] = hi;
    this.lo[slot] = lo;
    this.stamps[slot] = this.stamp;
    return i;
  }

  /**
   * Finds the next event on the line: Linux 6.1 prints some events without their body and without a
   * newline.
   */
  private findNext(body: number): void {
    const { bytes, to } = this;
    let i = body;
    while (i < to && bytes[i] === SPACE) i++;
    // a body follows one space; a header follows more, because its task's name is padded
    if (i - body < 2 || i >= to) return;
    this.next = body + 1;
  }
}
