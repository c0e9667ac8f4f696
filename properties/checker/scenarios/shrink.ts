import type { Scenario } from './scenario.ts';
import { smaller } from './smaller.ts';

/** What shrinking came to. `executions` counts the scenarios that were run for it. */
export interface Shrunk {
  readonly scenario: Scenario;
  readonly executions: number;
  /** False when the budget ended before nothing smaller failed. */
  readonly complete: boolean;
}

/**
 * Shrinks a failing scenario: takes the first smaller one that `stillFails` and starts over, until
 * none does or `budget` executions are spent. Deterministic: the same failure shrinks to the same
 * text on every machine.
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
