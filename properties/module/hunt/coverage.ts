/** What the scenarios of a hunt have exercised: beginnings, and calls with their answers. */
import { classOf, OPERAND_BUSY, SUCCESS } from '../../../spec/tdx/status.ts';
import type { Beginning } from './beginnings.ts';
import type { RecordedCall } from './recorder.ts';

/** How often a function was called, succeeded, and was refused a lock. */
export interface CallCount {
  readonly name: string;
  readonly called: number;
  readonly succeeded: number;
  readonly busy: number;
}

/** What a hunt has exercised. */
export interface Exercised {
  /** Number of scenarios with each beginning. */
  readonly beginnings: readonly (readonly [Beginning, number])[];
  /** Every function of the module, in alphabetical order. */
  readonly calls: readonly CallCount[];
}

type Counts = { -readonly [key in keyof CallCount]: CallCount[key] };

export class Coverage {
  private readonly scenarios = new Map<Beginning, number>();
  private readonly counts = new Map<string, Counts>();

  /** Counts the calls of a scenario. */
  count(beginning: Beginning, calls: readonly RecordedCall[]): void {
    this.scenarios.set(beginning, (this.scenarios.get(beginning) ?? 0) + 1);
    for (const { name, call } of calls) {
      const counts = this.countsOf(name);
      counts.called++;
      if (call.exitReason >= 0 || call.interrupted) continue;
      if (call.status === SUCCESS) counts.succeeded++;
      else if (classOf(call.status) === OPERAND_BUSY) counts.busy++;
    }
  }

  private countsOf(name: string): Counts {
    const counts = this.counts.get(name) ?? { name, called: 0, succeeded: 0, busy: 0 };
    this.counts.set(name, counts);
    return counts;
  }

  /** The counts of the functions with the given names, and of those that were called besides. */
  of(names: Iterable<string>): Exercised {
    for (const name of names) this.countsOf(name);
    const calls = [...this.counts.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return { beginnings: [...this.scenarios], calls };
  }
}
