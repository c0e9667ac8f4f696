/** What a trace shows about itself: how it was recorded, and what it lacks. */
import type { KernelName } from './kernels/names.ts';
import type { TraceEvent } from './reader/event.ts';
import { CPUS } from './reader/header.ts';
import type { TraceReading } from './verdict.ts';

/** Times of more digits than a double has are compared without the last ones. */
const EPSILON = 2 * Number.EPSILON;
const ENTRIES = /^# entries-in-buffer\/entries-written: (\d+)\/(\d+)/;

export class Reading {
  private readonly notNumbers = new Map<string, number>();
  /** Time of the last event of each CPU; negative before the first. */
  private readonly times: Float64Array = new Float64Array(CPUS).fill(-1);
  /** Line of that event. */
  private readonly lines: Float64Array = new Float64Array(CPUS);
  private first = -1;
  private time = -1;
  private cpu = -1;
  private cpus = 0;
  /** Number of times that the CPU changed from an event to the next. */
  private switches = 0;
  private withoutFlags = 0;
  private readonly backwards = { times: 0, ofCpu: 0, line: 0 };
  private unreadableLine = 0;
  private lostEvents = 0;
  private buffersStarted = 0;
  private overwritten = 0;
  private captures = 0;
  /** Version of the kernel whose probes the trace has, if it is not the one to judge by. */
  probesOf: KernelName | null = null;
  /** The last line has no newline, and may lack more. */
  cut = false;
  /** Why the file could not be read to its end, or null. */
  damaged: string | null = null;

  /** Notes an event. Returns whether time runs backwards, so that earlier state is void. */
  event(e: TraceEvent): boolean {
    const { cpu, time, backwards } = this;
    const ofCpu = this.times[e.cpu] ?? -1;
    if (!e.hasFlags) this.withoutFlags++;
    if (cpu !== e.cpu) this.switches++;
    if (ofCpu < 0) this.cpus++;
    if (cpu < 0) this.first = e.time;
    this.cpu = e.cpu;
    this.time = e.time;
    this.times[e.cpu] = e.time;
    this.lines[e.cpu] = e.line;
    if (!isBefore(e.time, time)) return false;
    if (backwards.times === 0) backwards.line = e.line;
    backwards.times++;
    if (isBefore(e.time, ofCpu)) backwards.ofCpu++;
    return true;
  }

  unreadable({ line }: TraceEvent): void {
    if (this.unreadableLine === 0) this.unreadableLine = line;
  }

  /** Counts the values of an event that are no numbers. */
  values(e: TraceEvent): void {
    for (const key of e.notNumbers()) {
      const where = `${e.name()} ${key}`;
      this.notNumbers.set(where, (this.notNumbers.get(where) ?? 0) + 1);
    }
  }

  /** Notes that events of a CPU were lost. Returns the line after which they may have been. */
  lost(cpu: number, events: number): number {
    this.lostEvents += events;
    return this.lines[cpu] ?? 0;
  }

  /** Notes that the events of a CPU begin. Returns the line after which it has none before. */
  started(): number {
    this.buffersStarted++;
    return 0;
  }

  /** Notes a comment. Returns whether another capture begins, so that earlier state is void. */
  comment(text: string): boolean {
    const [, kept, written] = ENTRIES.exec(text) ?? [];
    if (kept !== undefined) this.overwritten += Number(written) - Number(kept);
    const begins = text.startsWith('# tracer:') && this.cpus > 0;
    if (begins) this.captures++;
    return begins;
  }

  /** Why nothing can be judged, or null. */
  refusal(): string | null {
    if (this.probesOf !== null) return `the probes are those of Linux ${this.probesOf}`;
    return this.isByCpu ? 'the events of one CPU follow those of another' : null;
  }

  /** Whether the events of each CPU are together, and not in the order of time. */
  private get isByCpu(): boolean {
    return this.cpus > 1 && this.switches === this.cpus && this.backwards.times > 0;
  }

  end(): TraceReading {
    const { lostEvents, buffersStarted, overwritten, captures, withoutFlags, probesOf } = this;
    const { backwards, notNumbers, cut, damaged, isByCpu } = this;
    return {
      cpus: this.cpus,
      cpu: this.cpus === 1 ? this.cpu : null,
      times: this.cpus === 0 ? null : [this.first, this.time],
      unreadableLine: this.unreadableLine,
      lostEvents,
      buffersStarted,
      overwritten,
      capturesJoined: captures,
      backwards: { ...backwards },
      byCpu: isByCpu,
      withoutFlags,
      notNumbers: Object.fromEntries(notNumbers),
      probesOf,
      cut,
      damaged,
    };
  }
}

const isBefore = (time: number, other: number): boolean => other - time > other * EPSILON;
