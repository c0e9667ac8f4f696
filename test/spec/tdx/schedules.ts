/** Schedules that tests of the module share. */
import type { Scenario } from '../../../properties/checker/scenarios/scenario.ts';
import type { Access, Steps } from '../../../spec/machine/step.ts';

/** No call of a test's program takes more steps. */
const LONGEST = 40;

/** The scenario with one preemption, once for each place that there can be one. */
export function* onePreemption({ vm, actors }: Scenario): Generator<Scenario> {
  for (const [actor, { operations }] of actors.entries()) {
    for (const operation of operations.keys()) {
      for (let step = 0; step < LONGEST; step++) {
        yield { vm, actors, deviations: [{ actor, operation, step, what: 'switch', value: 1 }] };
      }
    }
  }
}

/**
 * Performs the steps of an actor until one is announced, or has been done, after which `here`
 * holds.
 */
export function runUntil<T>(steps: Steps<T>, here: (announced: Access) => boolean): void {
  for (;;) {
    const next = steps.next();
    if (next.done === true) throw new Error('the actor has ended before it came there');
    if (here(next.value)) return;
  }
}
