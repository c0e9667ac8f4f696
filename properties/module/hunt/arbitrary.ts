/**
 * Draws the scenarios of a hunt: two actors or more, or a given number of them; at least one is
 * preempted within an operation. (A history of calls one after the other is not judged.)
 */
import {
  decodeOperation,
  ScenarioArbitrary,
  Tape,
  type Shape,
} from '../../checker/scenarios/arbitrary.ts';
import type { ActorProgram, Deviation, Scenario } from '../../checker/scenarios/scenario.ts';

const MIN_ACTORS = 2;
/** One deviation in five makes an interrupt pending, but never the first. */
const INTERRUPTS = 5;

export class HuntArbitrary extends ScenarioArbitrary {
  private readonly actors: number | undefined;

  /** `actors`: the number of actors of every scenario; otherwise two up to those of the shape. */
  constructor(actors: number | undefined, shapes: readonly Shape[]) {
    super(...shapes.map((shape) => withRoles(shape, actors ?? 0)));
    this.actors = actors;
  }

  protected override meaningOf(bytes: Uint8Array, shape: Shape): Scenario {
    const tape = new Tape(bytes);
    const count = this.actors ?? MIN_ACTORS + tape.below(shape.roles.length - MIN_ACTORS + 1);
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

/** The shape with at least that number of actors: further ones are threads of the VMM. */
const withRoles = (shape: Shape, count: number): Shape => ({
  ...shape,
  roles: Array.from(
    { length: Math.max(count, shape.roles.length) },
    (_, i) => shape.roles[i] ?? 'host',
  ),
});

function deviation(
  tape: Tape,
  actors: readonly ActorProgram[],
  { maxStep }: Shape,
  index: number,
): Deviation {
  // the actor that starts: the others run only once it is preempted, or has ended
  const actor = index === 0 ? 0 : tape.below(actors.length);
  const operation = tape.below(actors[actor]?.operations.length ?? 1);
  const step = tape.below(maxStep);
  const isInterrupt = tape.below(INTERRUPTS) === 0 && index > 0;
  if (isInterrupt) return { actor, operation, step: 0, what: 'outcome', value: 1 + tape.below(2) };
  return { actor, operation, step, what: 'switch', value: 1 + tape.below(actors.length - 1) };
}
