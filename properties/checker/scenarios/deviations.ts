/**
 * The choices of a scenario: the default everywhere except at its deviations. A deviation is a
 * delay of delay-bounded scheduling (Emmi, Qadeer, Rakamarić: Delay-Bounded Scheduling, POPL 2011),
 * at a given step and to a given actor, or an unusual outcome.
 */
import { SWITCH, type Choices, type What } from '../../../spec/machine/choices.ts';
import type { Machine } from '../../../spec/machine/machine.ts';
import type { Deviation } from './scenario.ts';

export class DeviationChoices implements Choices {
  private readonly m: Machine;
  private deviations: readonly Deviation[] = [];
  /** For each deviation of an outcome: number of choices that it has decided. */
  private readonly used: number[] = [];
  /** Number of choices that deviations have decided in this run. */
  met = 0;

  constructor(m: Machine) {
    this.m = m;
  }

  /** Begins a run with these deviations. */
  follow(deviations: readonly Deviation[]): void {
    this.deviations = deviations;
    this.used.length = 0;
    this.met = 0;
  }

  stays(actor: number, at: number): boolean {
    for (const d of this.deviations) if (d.step === at && d.actor === actor) return false;
    return true;
  }

  pick(n: number, actor: number, at: number, what: What): number {
    for (const [i, d] of this.deviations.entries()) {
      if (d.actor !== actor || (d.what === 'switch') !== (what === SWITCH)) continue;
      if (this.m.actors[actor]?.op !== d.operation) continue;
      if (what === SWITCH) {
        if (d.step !== at) continue;
        this.met++;
        return d.value % n;
      }
      if (at < d.step || (this.used[i] ?? 0) >= d.value) continue;
      this.used[i] = (this.used[i] ?? 0) + 1;
      this.met++;
      return 1;
    }
    return 0;
  }
}
