/** Rules with their monitors, and the book that counts how often a campaign exercises each rule. */
import type { Machine } from './machine.ts';
import type { RuleText } from './rule.ts';

/** What a monitor calls. Counting is cheap; texts are made only when the rule is broken. */
export interface Reporter {
  /** The rule's premise held at this step. */
  exercised(): void;
  /** The rule is broken at this step: what it demands, and what was observed. */
  violated(expected: string, seen: string): void;
}

/** A rule with its monitor. */
export interface Rule<Subject> extends RuleText {
  /** Subscribes to the events that the rule is about; called once, before any run. */
  watch?(subject: Subject, report: Reporter): void;
  /** Checks the subject when every actor has ended and nothing is in flight. */
  atRest?(subject: Subject, report: Reporter): void;
  /** Checks the subject when everything has been torn down. */
  atEnd?(subject: Subject, report: Reporter): void;
  /** Faults of the machine (H rules) that break this rule: they are reported under its id. */
  readonly faults?: readonly string[];
  /**
   * Finding (docs/findings.md) by which the real module of these versions breaks the rule itself:
   * no policy is judged by the rule there.
   */
  readonly finding?: { readonly id: string; readonly versions: readonly string[] };
}

/** Turns a rule about a part of a subject into a rule about the subject. */
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

/** K rules are about KVM's protocol, and break before the breach has had a consequence. */
export const isProtocol = (id: string): boolean => id.startsWith('K');

/** The rules that watch one subject, and how often each has been exercised. */
export class RuleBook<Subject> {
  readonly rules: readonly Rule<Subject>[];
  private readonly subject: Subject;
  private readonly counts: Float64Array;
  private readonly reporters: readonly Reporter[];
  /** While true, protocol rules (K) report no violation: only consequences count. */
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

  /** Runs the rules' checks for the moment when every actor has ended. */
  atRest(): void {
    for (const [index, rule] of this.rules.entries())
      rule.atRest?.(this.subject, this.reporter(index));
  }

  /** Runs the rules' checks for the moment when everything has been torn down. */
  atEnd(): void {
    for (const [index, rule] of this.rules.entries())
      rule.atEnd?.(this.subject, this.reporter(index));
  }

  /** Id under which a violation is reported: a rule may claim faults of the machine (H rules). */
  reportedAs(id: string): string {
    return this.rules.find((rule) => rule.faults?.includes(id) === true)?.id ?? id;
  }

  /** Number of times the rule's premise has held since the book was made or {@link clear}ed. */
  timesExercised(id: string): number {
    const index = this.rules.findIndex((rule) => rule.id === id);
    return this.counts[index] ?? 0;
  }

  clear(): void {
    this.counts.fill(0);
  }
}
