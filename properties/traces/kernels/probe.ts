/** A probe of a kernel, as `sept probes` prints it. */
import type { EventName } from '../reader/event-table.ts';

export interface Probe {
  /** Name of the event. */
  readonly name: EventName;
  /** Place of the probe in the function. An fprobe is at the entry, and works in interrupts. */
  readonly at: 'entry' | 'return' | 'fprobe';
  readonly symbol: string;
  /** Fetched values, in the syntax of the kernel's Documentation/trace/kprobetrace.rst. */
  readonly args: string;
}
