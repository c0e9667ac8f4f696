/** Runs of small actors under several kinds of choices, for the tests of the machine. */
import { ORDINARY, SWITCH, type Choices, type What } from '../../../spec/machine/choices.ts';
import type { Machine } from '../../../spec/machine/machine.ts';
import { run, type Ending } from '../../../spec/machine/run.ts';
import type { Steps } from '../../../spec/machine/step.ts';

/** Pseudo-random choices, determined by the seed. */
export class Seeded implements Choices {
  private state: number;

  constructor(seed: number) {
    this.state = Math.imul(seed + 1, 0x9e37_79b1) | 1;
  }

  pick(n: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % n;
  }
}

/** The listed picks, then ordinary ones. Records the requests for choices. */
export class Scripted implements Choices {
  readonly asked: { n: number; actor: number; at: number; what: What }[] = [];
  private readonly picks: readonly number[];

  constructor(...picks: number[]) {
    this.picks = picks;
  }

  pick(n: number, actor: number, at: number, what: What): number {
    this.asked.push({ n, actor, at, what });
    return this.picks[this.asked.length - 1] ?? 0;
  }
}

/** Switches to the next enabled actor after each step; the second one begins. Ordinary outcomes. */
export const lockstep: Choices = {
  pick: (n, _actor, _at, what) => (what === SWITCH && n > 1 ? 1 : 0),
};

export type Actors = Record<string, () => Steps<void>>;

/** Runs `actors` once from the sealed state. */
export function runActors(
  m: Machine,
  actors: Actors,
  choices: Choices = ORDINARY,
  maxSteps = 2_000,
): Ending {
  m.reset();
  m.choices = choices;
  for (const [name, steps] of Object.entries(actors)) m.spawn(name, steps());
  return run(m, maxSteps);
}

/** Runs `actors` under every sequence of choices, and returns their number. */
export function runAllSchedules(
  m: Machine,
  actors: Actors,
  visit: (ending: Ending) => void,
  maxSteps = 2_000,
): number {
  const picks: number[] = [];
  const widths: number[] = [];
  for (let count = 1; ; count++) {
    let depth = 0;
    const choices: Choices = {
      pick(n) {
        if (depth === picks.length) {
          picks.push(0);
          widths.push(n);
        }
        return picks[depth++] ?? 0;
      },
    };
    visit(runActors(m, actors, choices, maxSteps));
    while (picks.length > 0 && (picks.at(-1) ?? 0) + 1 === widths.at(-1)) {
      picks.pop();
      widths.pop();
    }
    if (picks.length === 0) return count;
    picks.push((picks.pop() ?? 0) + 1);
  }
}

/** Number of `seeds` pseudo-random runs by their ending, or by the rule that they broke. */
export function tally(
  m: Machine,
  actors: Actors,
  seeds = 200,
  maxSteps = 2_000,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let seed = 0; seed < seeds; seed++) {
    const ending = runActors(m, actors, new Seeded(seed), maxSteps);
    const key = m.violation?.rule ?? ending;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
