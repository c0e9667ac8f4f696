/** Counts and violations of the monitors of a trace. */
import type { EventName } from './reader/event-table.ts';
import type { TraceRule } from './rules/rule.ts';
import type { RuleCount, TraceViolation } from './verdict.ts';

type HasSeen = (name: EventName) => boolean;

/** A violation that only counts if the trace records every event in `unless`. */
interface Reported {
  readonly violation: TraceViolation;
  readonly unless: readonly EventName[];
}

/** Counts and violations of one monitor. A rule may have several. */
export class Tally {
  readonly rule: TraceRule;
  exercised = 0;
  violated = 0;
  readonly notJudged = new Map<string, number>();
  readonly reported: Reported[] = [];
  /** Number of violations that do not count if no event of this name is recorded. */
  private readonly conditional = new Map<EventName, number>();

  constructor(rule: TraceRule) {
    this.rule = rule;
  }

  /** Counts a violation, for now also one whose `unless` a later event may still satisfy. */
  count(unless: readonly EventName[], hasSeen: HasSeen): void {
    this.violated++;
    const missing = unless.find((name) => !hasSeen(name));
    if (missing !== undefined)
      this.conditional.set(missing, (this.conditional.get(missing) ?? 0) + 1);
  }

  /** Counts what was not judged, and why. */
  skip(why: string, times = 1): void {
    this.notJudged.set(why, (this.notJudged.get(why) ?? 0) + times);
  }

  /** Violations that count, at the end of the trace. */
  violations(hasSeen: HasSeen): TraceViolation[] {
    return this.reported
      .filter(({ unless }) => unless.every(hasSeen))
      .map(({ violation }) => violation);
  }

  /**
   * Drops, at the end of the trace, what does not count: violations without the events in their
   * `unless`; and everything, if the trace lacks events that the monitor needs.
   */
  discount(hasSeen: HasSeen): void {
    for (const [name, times] of this.conditional) {
      if (hasSeen(name)) continue;
      this.violated -= times;
      this.skip(missingText([name]), times);
    }
    const missing = this.missing(hasSeen);
    if (missing.length === 0) return;
    this.exercised = 0;
    this.violated = 0;
    this.reported.length = 0;
    this.skip(missingText(missing), 1);
  }

  private missing(hasSeen: HasSeen): EventName[] {
    const { needs, needsOne = [], pairs = [] } = this.rule;
    return [
      ...needs.filter((name) => !hasSeen(name)),
      ...(needsOne.some(hasSeen) ? [] : needsOne),
      ...pairs.flatMap(([one, other]) => (hasSeen(one) && !hasSeen(other) ? [other] : [])),
    ];
  }
}

const missingText = (names: readonly string[]): string =>
  `no event ${[...new Set(names)].join(', ')} in the trace`;

/** Counts of a rule, from those of its monitors. */
export function sumOf(tallies: readonly Tally[]): RuleCount {
  const notJudged = new Map<string, number>();
  for (const tally of tallies) {
    for (const [why, times] of tally.notJudged)
      notJudged.set(why, (notJudged.get(why) ?? 0) + times);
  }
  const exercised = tallies.reduce((sum, tally) => sum + tally.exercised, 0);
  if (exercised === 0 && notJudged.size === 0)
    notJudged.set('the trace does not exercise the rule', 1);
  return {
    exercised,
    violated: tallies.reduce((sum, { violated }) => sum + violated, 0),
    notJudged: Object.fromEntries(notJudged),
  };
}
