/**
 * Histories for a hunt: always of two actors or more, of whom one at least is preempted in the
 * middle of something. What runs one call after the other is what the judge does itself.
 */
import {
  decodeOperation,
  ScenarioArbitrary,
  Tape,
  type Shape,
} from '../../checker/scenarios/arbitrary.ts';
import type { ActorProgram, Deviation, Scenario } from '../../checker/scenarios/scenario.ts';

const MIN_ACTORS = 2;
/** One deviation in so many makes an interrupt pending, but never the first. */
const INTERRUPTS = 5;

export class HuntArbitrary extends ScenarioArbitrary {
  protected override meaningOf(bytes: Uint8Array, shape: Shape): Scenario {
    const tape = new Tape(bytes);
    const count = MIN_ACTORS + tape.below(shape.roles.length - MIN_ACTORS + 1);
    const roles = [...shape.roles];
    const actors = Array.from({ length: count }, (): ActorProgram => {
      const [role = 'host'] = roles.splice(tape.below(roles.length), 1);
      const length = 1 + tape.below(shape.maxOperations);
      return { role, operations: Array.from({ length }, () => decodeOperation(tape, role, shape)) };
    });
    const length = 1 + tape.below(shape.maxDeviations);
    return {
      vm: shape.vm,
      actors,
      deviations: Array.from({ length }, (_, i) => deviation(tape, actors, shape, i)),
    };
  }
}

function deviation(
  tape: Tape,
  actors: readonly ActorProgram[],
  { maxStep }: Shape,
  place: number,
): Deviation {
  const actor = tape.below(actors.length);
  const operation = tape.below(actors[actor]?.operations.length ?? 1);
  const step = tape.below(maxStep);
  const isInterrupt = tape.below(INTERRUPTS) === 0 && place > 0;
  if (isInterrupt) return { actor, operation, step: 0, what: 'outcome', value: 1 + tape.below(2) };
  return { actor, operation, step, what: 'switch', value: 1 + tape.below(actors.length - 1) };
}
