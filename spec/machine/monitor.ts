import type { Machine } from './machine.ts';
import type { RuleText } from './rule.ts';

/** What a rule's monitor says. Counting is cheap; texts are made only when the rule is broken. */
export interface Judge {
  /** The rule's premise held: it was put to the test. */
  exercised(): void;
  violated(expected: string, seen: string): void;
}

/** A rule with its check. `watch` subscribes to what it needs to see of `world`; it is called once, before any run. */
export interface Rule<World> extends RuleText {
  watch?(world: World, judge: Judge): void;
}

/** The rules that watch one world, and how often each has been put to the test. */
export class RuleBook<World> {
  readonly rules: readonly Rule<World>[];
  private readonly counts: Float64Array;

  constructor(m: Machine, world: World, rules: readonly Rule<World>[]) {
    this.rules = rules;
    this.counts = new Float64Array(rules.length);
    const { counts } = this;
    for (const [index, rule] of rules.entries()) {
      rule.watch?.(world, {
        exercised: () => {
          counts[index] = (counts[index] ?? 0) + 1;
        },
        violated: (expected, seen) => m.violate(rule.id, expected, seen),
      });
    }
  }

  /** Times the rule's premise held since the book was opened or {@link clear}ed. */
  timesExercised(id: string): number {
    const index = this.rules.findIndex((rule) => rule.id === id);
    return this.counts[index] ?? 0;
  }

  clear(): void {
    this.counts.fill(0);
  }
}
