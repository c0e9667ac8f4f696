import type { History } from './scenario.ts';
import { smaller } from './smaller.ts';

/** What shrinking came to. `executions` counts the histories that were run for it. */
export interface Shrunk {
  readonly history: History;
  readonly executions: number;
  /** False when the budget ended before nothing smaller failed. */
  readonly complete: boolean;
}

/**
 * Shrinks a failing history: takes the first smaller one that `stillFails` and starts over, until
 * none does or `budget` executions are spent. Deterministic: the same failure shrinks to the same
 * text on every machine.
 */
export function shrink(
  history: History,
  stillFails: (candidate: History) => boolean,
  budget = 4000,
): Shrunk {
  let best = history;
  let executions = 0;
  for (;;) {
    let found = false;
    for (const candidate of smaller(best)) {
      if (executions >= budget) return { history: best, executions, complete: false };
      executions++;
      if (!stillFails(candidate)) continue;
      best = candidate;
      found = true;
      break;
    }
    if (!found) return { history: best, executions, complete: true };
  }
}
