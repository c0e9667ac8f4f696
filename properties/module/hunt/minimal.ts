/**
 * Shrinks a scenario further than shrink() does, which keeps an operation that only hosts a
 * preemption: a scenario with several preemptions is also tried with each single one.
 */
import type { Deviation, Scenario } from '../../checker/scenarios/scenario.ts';
import { shrink } from '../../checker/scenarios/shrink.ts';

const SHRINK_BUDGET = 600;
/** A call of a hunt has had its effect before this step. */
const STEPS = 32;

/** Returns a minimal scenario for which `isStill` holds, as it does for `scenario`. */
export function minimal(scenario: Scenario, isStill: (candidate: Scenario) => boolean): Scenario {
  let best = shrink(scenario, isStill, SHRINK_BUDGET).scenario;
  while (best.deviations.length > 1) {
    const simpler = firstOf(preemptedOnce(best), isStill);
    if (simpler === null) break;
    best = shrink(simpler, isStill, SHRINK_BUDGET).scenario;
  }
  return best;
}

function firstOf(
  candidates: Iterable<Scenario>,
  isStill: (candidate: Scenario) => boolean,
): Scenario | null {
  for (const candidate of candidates) if (isStill(candidate)) return candidate;
  return null;
}

/** The same program with one preemption anywhere: first without each operation, then complete. */
function* preemptedOnce({ vm, actors }: Scenario): Generator<Scenario> {
  const programs = actors.flatMap((actor, i) =>
    actor.operations.map((_, gone) =>
      actors.map((other, k) =>
        k === i
          ? { ...other, operations: other.operations.filter((__, at) => at !== gone) }
          : other,
      ),
    ),
  );
  for (const program of [...programs, actors]) {
    for (const deviation of switches({ vm, actors: program, deviations: [] })) {
      yield { vm, actors: program, deviations: [deviation] };
    }
  }
}

function* switches({ actors }: Scenario): Generator<Deviation> {
  for (const [actor, { operations }] of actors.entries()) {
    for (let operation = 0; operation < operations.length; operation++) {
      for (let step = 0; step < STEPS; step++) {
        for (let value = 1; value < actors.length; value++)
          yield { actor, operation, step, what: 'switch', value };
      }
    }
  }
}
