import type { Machine } from './machine.ts';
import type { RuleText } from './rule.ts';

/** What a rule's monitor says. Counting is cheap; texts are made only when the rule is broken. */
export interface Reporter {
  /** The rule's premise held: it was put to the test. */
  exercised(): void;
  violated(expected: string, seen: string): void;
}

/** A rule with its check. */
export interface Rule<Subject> extends RuleText {
  /** Subscribes to what the rule needs to see of the subject; called once, before any run. */
  watch?(subject: Subject, report: Reporter): void;
  /** Looks at the subject when every actor has ended and nothing is in flight. */
  atRest?(subject: Subject, report: Reporter): void;
  /** Looks at the subject when everything has been torn down. */
  atEnd?(subject: Subject, report: Reporter): void;
  /** Faults of the machine (H rules) that break this rule: they are reported under its id. */
  readonly faults?: readonly string[];
  /**
   * The real module of these versions breaks the rule by itself (docs/findings.md): no VMM is
   * judged by it there.
   */
  readonly finding?: { readonly id: string; readonly versions: readonly string[] };
}

/** A rule about a part of a world, as a rule about the world. */
export function about<Subject, Part>(
  rule: Rule<Part>,
  part: (subject: Subject) => Part,
): Rule<Subject> {
  const { watch, atRest, atEnd, ...text } = rule;
  return {
    ...text,
    ...(watch && { watch: (subject: Subject, report: Reporter) => watch(part(subject), report) }),
    ...(atRest && {
      atRest: (subject: Subject, report: Reporter) => atRest(part(subject), report),
    }),
    ...(atEnd && { atEnd: (subject: Subject, report: Reporter) => atEnd(part(subject), report) }),
  };
}

/** K rules say how KVM goes about it, and are broken before anything has come of that. */
export const isProtocol = (id: string): boolean => id.startsWith('K');

/** The rules that watch one world, and how often each has been put to the test. */
export class RuleBook<Subject> {
  readonly rules: readonly Rule<Subject>[];
  private readonly subject: Subject;
  private readonly counts: Float64Array;
  private readonly reporters: readonly Reporter[];
  /**
   * While true, rules about how something is done (K) do not speak up: only what comes of it
   * counts.
   */
  onlyOutcomes = false;

  constructor(m: Machine, subject: Subject, rules: readonly Rule<Subject>[]) {
    this.rules = rules;
    this.subject = subject;
    this.counts = new Float64Array(rules.length);
    const { counts } = this;
    this.reporters = rules.map((rule, index) => ({
      exercised: () => {
        counts[index] = (counts[index] ?? 0) + 1;
      },
      violated: (expected, seen) => {
        if (!this.onlyOutcomes || !isProtocol(rule.id)) m.violate(rule.id, expected, seen);
      },
    }));
    for (const [index, rule] of rules.entries()) rule.watch?.(subject, this.reporter(index));
  }

  private reporter(index: number): Reporter {
    return this.reporters[index] as Reporter; // one a rule
  }

  /** Every actor has ended. */
  atRest(): void {
    for (const [index, rule] of this.rules.entries())
      rule.atRest?.(this.subject, this.reporter(index));
  }

  /** Everything has been torn down. */
  atEnd(): void {
    for (const [index, rule] of this.rules.entries())
      rule.atEnd?.(this.subject, this.reporter(index));
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
