/**
 * The part of a line before an event's values: task, CPU, flags, time and name. All recorders print
 * these in this order, with different columns:
 *
 *     TASK-PID     [CPU] FLAGS TIME: NAME:           tracefs; FLAGS unless options/irq-info is 0
 *     TASK-PID (TGID) [CPU] FLAGS TIME: NAME:        tracefs with options/record-tgid
 *     TASK-PID CPUFLAGS TIMEus: NAME:                tracefs with options/latency-format
 *     TASK-PID     [CPU] FLAGS TIME: NAME:           trace-cmd report; spaces after the name
 *     TASK PID     [CPU] TIME: GROUP:NAME:           perf script; PID/TID with -F +pid
 *
 * Source: Linux, kernel/trace/trace_output.c; captures by each recorder.
 */
import { ASCII, DIGITS } from './ascii.ts';

const { SPACE, OPEN, CLOSE, MINUS, DOT, SLASH, COLON, BRACKET, UNBRACKET } = ASCII;
const DIGIT = DIGITS;

/** Column at which the process id begins: the task's name before it is padded to 16 columns. */
const PID_COLUMN = 17;
/** The same in the latency format, which cuts names. */
const LATENCY_PID_COLUMN = 9;
/** Values of the third flag for events in soft and hard interrupts. */
const INTERRUPTS = new Set([...'sShHzZ'].map((letter) => letter.charCodeAt(0)));
/** Upper bound of a kernel's number of CPUs (CONFIG_NR_CPUS). */
export const CPUS = 8192;

/** Whether the character at `i` is a decimal digit. */
const isDecimal = (bytes: Uint8Array, i: number): boolean => (DIGIT[bytes[i] ?? 0] ?? 255) < 10;

export class Header {
  pid = 0;
  cpu = 0;
  /** Its digits without the point: comparable within a trace, whatever its unit is. */
  time = 0;
  /** Whether the line shows the context of the event. If not, `inInterrupt` is false. */
  hasFlags = false;
  inInterrupt = false;
  nameFrom = 0;
  nameTo = 0;
  private from = 0;
  private commTo = 0;

  /** Name and id of the task, as ftrace prints them, whatever the recorder is. */
  task(bytes: Uint8Array): string {
    const comm = Buffer.from(bytes.subarray(this.from, this.commTo)).toString('latin1').trim();
    return `${comm}-${this.pid}`;
  }

  /** Reads a line from offset `from` to `to`. Returns the offset after the name's colon, or -1. */
  read(bytes: Uint8Array, from: number, to: number): number {
    this.from = from;
    let i = this.readTaskAndCpu(bytes, from, to);
    if (i < 0) i = this.readLatency(bytes, from, to);
    if (i < 0) return -1;
    i = this.readFlags(bytes, i, to);
    i = this.readTime(bytes, i, to);
    return i < 0 ? -1 : this.readName(bytes, i, to);
  }

  /** Finds `[CPU]` and the process id before it. Returns the offset after it, or -1. */
  private readTaskAndCpu(bytes: Uint8Array, from: number, to: number): number {
    // a name of a task can have brackets
    let i = bytes[from + PID_COLUMN - 1] === MINUS ? from + PID_COLUMN : from;
    for (; i < to; i++) {
      if (bytes[i] !== BRACKET || bytes[i - 1] !== SPACE || !isDecimal(bytes, i + 1)) continue;
      let cpu = 0;
      let end = i + 1;
      for (; end < to && isDecimal(bytes, end); end++)
        cpu = cpu * 10 + (DIGIT[bytes[end] ?? 0] ?? 0);
      if (end >= to || bytes[end] !== UNBRACKET || cpu >= CPUS) continue;
      if (!this.readPid(bytes, from, i - 1)) continue;
      this.cpu = cpu;
      return end + 1;
    }
    return -1;
  }

  /** Reads the process id that ends before offset `end`, and where the task's name ends. */
  private readPid(bytes: Uint8Array, from: number, end: number): boolean {
    while (end > from && bytes[end] === SPACE) end--;
    // skip the thread group id, if it is recorded
    if (bytes[end] === CLOSE) {
      while (end > from && bytes[end] !== OPEN) end--;
      for (end--; end > from && bytes[end] === SPACE;) end--;
    }
    let [pid, power, at] = [0, 1, end];
    for (; at > from && isDecimal(bytes, at); at--, power *= 10)
      pid += (DIGIT[bytes[at] ?? 0] ?? 0) * power;
    if (at === end) return false;
    // perf prints the process before the thread, if both are asked for
    if (bytes[at] === SLASH) for (at--; at > from && isDecimal(bytes, at);) at--;
    if (bytes[at] !== MINUS && bytes[at] !== SPACE) return false;
    this.pid = pid;
    this.commTo = at;
    return true;
  }

  /** Reads `TASK-PID CPU`, which the flags follow without a space. */
  private readLatency(bytes: Uint8Array, from: number, to: number): number {
    let i = from + LATENCY_PID_COLUMN;
    if (bytes[i - 1] !== MINUS || !isDecimal(bytes, i)) return -1;
    this.commTo = i - 1;
    let [pid, cpu] = [0, 0];
    for (; i < to && isDecimal(bytes, i); i++) pid = pid * 10 + (DIGIT[bytes[i] ?? 0] ?? 0);
    while (i < to && bytes[i] === SPACE) i++;
    const at = i;
    for (; i < to && isDecimal(bytes, i); i++) cpu = cpu * 10 + (DIGIT[bytes[i] ?? 0] ?? 0);
    if (i === at || i >= to || bytes[i] === SPACE || cpu >= CPUS) return -1;
    this.pid = pid;
    this.cpu = cpu;
    return i;
  }

  /** Reads the flags, unless the next word is the time. Returns the offset of what follows. */
  private readFlags(bytes: Uint8Array, i: number, to: number): number {
    while (i < to && bytes[i] === SPACE) i++;
    const flags = i;
    while (i < to && bytes[i] !== SPACE) i++;
    this.hasFlags = bytes[i - 1] !== COLON;
    this.inInterrupt = this.hasFlags && INTERRUPTS.has(bytes[flags + (i - flags > 2 ? 2 : 0)] ?? 0);
    return this.hasFlags ? i : flags;
  }

  /** Returns the offset after the colon, or -1. */
  private readTime(bytes: Uint8Array, i: number, to: number): number {
    while (i < to && bytes[i] === SPACE) i++;
    if (i >= to || !isDecimal(bytes, i)) return -1;
    let time = 0;
    for (; i < to; i++) {
      const digit = DIGIT[bytes[i] ?? 0] ?? 255;
      if (digit < 10) time = time * 10 + digit;
      else if (bytes[i] !== DOT) break;
    }
    this.time = time;
    // in the latency format, a unit and a mark for long delays follow
    while (i < to && bytes[i] !== COLON) i++;
    return i >= to ? -1 : i + 1;
  }

  /** Reads `NAME:` or `GROUP:NAME:`. Returns the offset after it, or -1. */
  private readName(bytes: Uint8Array, i: number, to: number): number {
    while (i < to && bytes[i] === SPACE) i++;
    this.nameFrom = i;
    for (; i < to; i++) {
      if (bytes[i] === SPACE) return -1;
      if (bytes[i] !== COLON) continue;
      if (i + 1 >= to || bytes[i + 1] === SPACE) {
        this.nameTo = i;
        return i === this.nameFrom ? -1 : i + 1;
      }
      this.nameFrom = i + 1;
    }
    return -1;
  }
}
