/** The choices of a history: ordinary everywhere except at its deviations. */
import { SWITCH, type Choices, type What } from '../../spec/machine/choices.ts';
import type { Machine } from '../../spec/machine/machine.ts';
import type { Deviation } from './history.ts';

export class DeviationChoices implements Choices {
  private readonly m: Machine;
  private deviations: readonly Deviation[] = [];
  /** How many of the deviations have come to pass in this run. */
  met = 0;

  constructor(m: Machine) {
    this.m = m;
  }

  follow(deviations: readonly Deviation[]): void {
    this.deviations = deviations;
    this.met = 0;
  }

  stays(actor: number, at: number): boolean {
    for (const d of this.deviations) if (d.step === at && d.actor === actor) return false;
    return true;
  }

  pick(n: number, actor: number, at: number, what: What): number {
    for (const d of this.deviations) {
      if (d.step !== at || d.actor !== actor || (d.what === 'switch') !== (what === SWITCH)) continue;
      if (this.m.actors[actor]?.op !== d.operation) continue;
      this.met++;
      return d.value % n;
    }
    return 0;
  }
}
