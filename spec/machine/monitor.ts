import type { Machine } from './machine.ts';
import type { RuleText } from './rule.ts';

/** What a rule's monitor says. Counting is cheap; texts are made only when the rule is broken. */
export interface Judge {
  /** The rule's premise held: it was put to the test. */
  exercised(): void;
  violated(expected: string, seen: string): void;
}

/** A rule with its check. */
export interface Rule<World> extends RuleText {
  /** Subscribes to what the rule needs to see of `world`; called once, before any run. */
  watch?(world: World, judge: Judge): void;
  /** Looks at `world` when every actor has ended and nothing is in flight. */
  atRest?(world: World, judge: Judge): void;
  /** Looks at `world` when everything has been torn down. */
  atEnd?(world: World, judge: Judge): void;
  /** Faults of the machine (H rules) that break this rule: they are reported under its id. */
  readonly faults?: readonly string[];
  /**
   * The real module of these versions breaks the rule by itself (docs/findings.md): no VMM is
   * judged by it there.
   */
  readonly finding?: { readonly id: string; readonly versions: readonly string[] };
}

/** A rule about a part of a world, as a rule about the world. */
export function about<World, Part>(rule: Rule<Part>, part: (world: World) => Part): Rule<World> {
  const { watch, atRest, atEnd, ...text } = rule;
  return {
    ...text,
    ...(watch && { watch: (world: World, judge: Judge) => watch(part(world), judge) }),
    ...(atRest && { atRest: (world: World, judge: Judge) => atRest(part(world), judge) }),
    ...(atEnd && { atEnd: (world: World, judge: Judge) => atEnd(part(world), judge) }),
  };
}

/** K rules say how KVM goes about it, and are broken before anything has come of that. */
export const isProtocol = (id: string): boolean => id.startsWith('K');

/** The rules that watch one world, and how often each has been put to the test. */
export class RuleBook<World> {
  readonly rules: readonly Rule<World>[];
  private readonly world: World;
  private readonly counts: Float64Array;
  private readonly judges: readonly Judge[];
  /**
   * While true, rules about how something is done (K) do not speak up: only what comes of it
   * counts.
   */
  onlyOutcomes = false;

  constructor(m: Machine, world: World, rules: readonly Rule<World>[]) {
    this.rules = rules;
    this.world = world;
    this.counts = new Float64Array(rules.length);
    const { counts } = this;
    this.judges = rules.map((rule, index) => ({
      exercised: () => {
        counts[index] = (counts[index] ?? 0) + 1;
      },
      violated: (expected, seen) => {
        if (!this.onlyOutcomes || !isProtocol(rule.id)) m.violate(rule.id, expected, seen);
      },
    }));
    for (const [index, rule] of rules.entries()) rule.watch?.(world, this.judge(index));
  }

  private judge(index: number): Judge {
    return this.judges[index] as Judge; // one a rule
  }

  /** Every actor has ended. */
  atRest(): void {
    for (const [index, rule] of this.rules.entries()) rule.atRest?.(this.world, this.judge(index));
  }

  /** Everything has been torn down. */
  atEnd(): void {
    for (const [index, rule] of this.rules.entries()) rule.atEnd?.(this.world, this.judge(index));
  }

  /**
   * The rule under whose id a violation is reported: a fault of the machine belongs to the rule
   * that names it.
   */
  reportedAs(id: string): string {
    return this.rules.find((rule) => rule.faults?.includes(id) === true)?.id ?? id;
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
