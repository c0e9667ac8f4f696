/** Lines of a run's trace in ftrace's text form: one per event, in the order of the run's steps. */
import type { Machine, Recorder } from '../../../spec/machine/machine.ts';

/** Process ids of the scenario's actors, and of the owner that creates and destroys the VM. */
const FIRST_PID = 1000;
const OWNER_PID = 900;
const NAME_COLUMNS = 16;
const PID_COLUMNS = 7;
const STEP_COLUMNS = 12;

/**
 * Flags as ftrace prints them, in this order: interrupts off, need to reschedule, interrupt
 * context, preemption, migration.
 */
export type Flags = '.....' | '..s1.';
/** An RCU callback, in a softirq. */
export const SOFTIRQ: Flags = '..s1.';

export class TraceLog implements Recorder {
  readonly lines: string[] = [];
  private readonly m: Machine;
  private isDestroying = false;

  constructor(m: Machine) {
    this.m = m;
    m.onReset(() => {
      this.lines.length = 0;
      this.isDestroying = false;
    });
  }

  /** Adds a probe's event. `at` is the probed function; for a return probe, also the caller. */
  event(name: string, at: string, values: string, flags: Flags = '.....'): void {
    this.write(name, `(${at}) ${values}`, flags);
  }

  /** Adds a tracepoint's event, whose values follow words. */
  tracepoint(name: string, values: string): void {
    this.write(name, values, '.....');
  }

  private write(name: string, text: string, flags: Flags): void {
    const { m } = this;
    const actor = this.isDestroying || m.current < 0 ? null : (m.actors[m.current] ?? null);
    const task = (actor?.name ?? 'owner').padStart(NAME_COLUMNS);
    const pid = String(actor === null ? OWNER_PID : FIRST_PID + actor.index).padEnd(PID_COLUMNS);
    const cpu = String((actor?.index ?? -1) + 1).padStart(3, '0');
    const step = String(m.now).padStart(STEP_COLUMNS);
    this.lines.push(`${task}-${pid} [${cpu}] ${flags} ${step}: ${name}: ${text}`.trimEnd());
  }

  /** The engine begins to destroy the VM. */
  note(): void {
    this.isDestroying = true;
  }

  wrote(): void {}
}
