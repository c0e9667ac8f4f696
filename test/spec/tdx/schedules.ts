/** Schedules that tests of the module share. */
import type { Scenario } from '../../../properties/checker/scenarios/scenario.ts';
import type { Access, Steps } from '../../../spec/machine/step.ts';

/** An upper bound for the steps of a call in these tests. */
const LONGEST = 40;

/** The scenario with one preemption, at each place where there can be one. */
export function* onePreemption({ vm, actors }: Scenario): Generator<Scenario> {
  for (const [actor, { operations }] of actors.entries()) {
    for (const operation of operations.keys()) {
      for (let step = 0; step < LONGEST; step++) {
        yield { vm, actors, deviations: [{ actor, operation, step, what: 'switch', value: 1 }] };
      }
    }
  }
}

/** Runs the steps of an actor until `here` holds for the announced step. */
export function runUntil<T>(steps: Steps<T>, here: (announced: Access) => boolean): void {
  for (;;) {
    const next = steps.next();
    if (next.done === true) throw new Error('the actor ended before that step');
    if (here(next.value)) return;
  }
}
