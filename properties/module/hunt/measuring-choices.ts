/**
 * The choices of a run, which also measure the run's operations. A drawn scenario says where in its
 * operation a preemption is, as a fraction of an operation whose length is known only from runs: a
 * preemption behind the last step would leave the calls one after the other, and such a history is
 * not judged.
 */
import type { Machine } from '../../../spec/machine/machine.ts';
import { DeviationChoices } from '../../checker/scenarios/deviations.ts';
import type { ActorProgram, Deviation, Scenario } from '../../checker/scenarios/scenario.ts';

/** Number of places for a preemption that are drawn; the shapes of programs.ts draw so many. */
export const PLACES = 256;
/** Of an operation that has not run yet. */
const USUAL_LENGTH = 16;

export class MeasuringChoices extends DeviationChoices {
  private readonly machine: Machine;
  /** By actor and operation: its number of steps in this run. */
  private readonly steps: number[][] = [];
  /** By the name of an operation: its largest number of steps so far. */
  private readonly longest = new Map<string, number>();

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

  /** A drawn scenario with each preemption inside an operation as long as the longest so far. */
  expected(drawn: Scenario): Scenario {
    return placed(drawn, ({ actor, operation }) => {
      const name = drawn.actors[actor]?.operations[operation]?.name ?? '';
      return this.longest.get(name) ?? USUAL_LENGTH;
    });
  }

  /**
   * The drawn scenario as it is to be judged, after a run as {@link expected}: that one, or, if no
   * preemption was met, the same with each preemption inside its operation as long as it was.
   */
  fit(drawn: Scenario, ran: Scenario): Scenario {
    this.learn(drawn.actors);
    if (this.met > 0) return ran;
    return placed(drawn, ({ actor, operation }) => this.steps[actor]?.[operation] ?? USUAL_LENGTH);
  }

  private learn(actors: readonly ActorProgram[]): void {
    for (const [actor, { operations }] of actors.entries()) {
      for (const [operation, { name }] of operations.entries()) {
        const steps = this.steps[actor]?.[operation] ?? 0;
        if (steps > (this.longest.get(name) ?? 0)) this.longest.set(name, steps);
      }
    }
  }
}

/** The scenario with the drawn places as steps of operations of the given lengths. */
const placed = (drawn: Scenario, lengthOf: (deviation: Deviation) => number): Scenario => ({
  ...drawn,
  deviations: drawn.deviations.map((deviation) =>
    deviation.what === 'outcome'
      ? deviation
      : { ...deviation, step: 1 + Math.floor((deviation.step * lengthOf(deviation)) / PLACES) },
  ),
});
