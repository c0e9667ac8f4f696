/**
 * The choices of a run, which also measure the run's operations. A preemption behind the last step
 * of its operation leaves the calls one after the other, and such a history is not judged; so the
 * preemptions of a drawn scenario are then moved into their operations.
 */
import type { Machine } from '../../../spec/machine/machine.ts';
import { DeviationChoices } from '../../checker/scenarios/deviations.ts';
import type { Deviation, Scenario } from '../../checker/scenarios/scenario.ts';

export class MeasuringChoices extends DeviationChoices {
  private readonly machine: Machine;
  /** By actor and operation: its number of steps in this run. */
  private readonly steps: number[][] = [];

  constructor(m: Machine) {
    super(m);
    this.machine = m;
  }

  override follow(deviations: readonly Deviation[]): void {
    super.follow(deviations);
    this.steps.length = 0;
  }

  override stays(actor: number, at: number): boolean {
    const operation = this.machine.actors[actor]?.op ?? -1;
    if (operation >= 0) (this.steps[actor] ??= [])[operation] = at;
    return super.stays(actor, at);
  }

  /** The scenario with each preemption inside its operation, as long as that was in this run. */
  fit(scenario: Scenario): Scenario {
    return { ...scenario, deviations: scenario.deviations.map((one) => this.fitOne(one)) };
  }

  private fitOne(deviation: Deviation): Deviation {
    const { actor, operation, step, what } = deviation;
    const length = this.steps[actor]?.[operation] ?? 0;
    const isFixed = what === 'outcome' || length === 0;
    return isFixed ? deviation : { ...deviation, step: 1 + (step % length) };
  }
}
