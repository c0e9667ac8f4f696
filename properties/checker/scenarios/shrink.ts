/** Shrinks failing scenarios. */
import type { Scenario } from './scenario.ts';
import { smaller } from './smaller.ts';

interface Shrunk {
  readonly scenario: Scenario;
  /** Number of scenarios run to shrink it. */
  readonly executions: number;
  /** False when the budget ended first: a smaller scenario may fail, too. */
  readonly complete: boolean;
}

/**
 * Shrinks a failing scenario: takes the first smaller one that `stillFails` and starts over, until
 * none does or `budget` executions are spent. Deterministic: a failure shrinks to the same text on
 * every machine.
 */
export function shrink(
  scenario: Scenario,
  stillFails: (candidate: Scenario) => boolean,
  budget = 4000,
): Shrunk {
  let best = scenario;
  let executions = 0;
  for (;;) {
    let found = false;
    for (const candidate of smaller(best)) {
      if (executions >= budget) return { scenario: best, executions, complete: false };
      executions++;
      if (!stillFails(candidate)) continue;
      best = candidate;
      found = true;
      break;
    }
    if (!found) return { scenario: best, executions, complete: true };
  }
}
