/** Summary of the verdicts of several traces. */
import type { RuleCount, TraceGroup, TraceVerdict, TraceViolation } from './verdict.ts';

const MS = 1000;

export interface JudgedTrace {
  readonly file: string;
  readonly verdict: TraceVerdict;
}

export type FiledViolation = TraceViolation & { readonly file: string };

export type FiledGroup = TraceGroup & { readonly first: FiledViolation };

export class TraceSummary {
  readonly traces: JudgedTrace[] = [];
  private spent = 0;

  /** @param ms Time that judging took. */
  add(file: string, verdict: TraceVerdict, ms: number): void {
    this.traces.push({ file, verdict });
    this.spent += ms;
  }

  get events(): number {
    return this.traces.reduce((sum, { verdict }) => sum + verdict.events, 0);
  }

  get violated(): number {
    return this.traces.reduce((sum, { verdict }) => sum + verdict.violated, 0);
  }

  /** Number of events judged per second. */
  get rate(): number {
    return Math.round((this.events * MS) / Math.max(this.spent, 1));
  }

  get violations(): FiledViolation[] {
    return this.traces.flatMap(({ file, verdict }) =>
      verdict.violations.map((violation) => ({ file, ...violation })),
    );
  }

  /** Violations, grouped within each trace. */
  get groups(): FiledGroup[] {
    return this.traces.flatMap(({ file, verdict }) =>
      verdict.groups.map((group) => ({ ...group, first: { file, ...group.first } })),
    );
  }

  /** Whether a rule was exercised in a trace. */
  get isJudged(): boolean {
    return [...this.rules.values()].some(({ exercised }) => exercised > 0);
  }

  /** Counts of each rule over all traces, by id. */
  get rules(): ReadonlyMap<string, RuleCount> {
    const sums = new Map<string, RuleCount>();
    for (const { verdict } of this.traces) {
      for (const [id, count] of Object.entries(verdict.rules))
        sums.set(id, plus(sums.get(id), count));
    }
    return sums;
  }

  rows(): (string | number)[][] {
    return [...this.rules].map(([id, { exercised, violated, notJudged }]) => [
      id,
      exercised,
      violated,
      Object.entries(notJudged)
        .map(([why, times]) => (times > 1 ? `${why} (${times})` : why))
        .join('; '),
    ]);
  }

  asJson(): unknown {
    const { events, rate, violated, violations } = this;
    const rules = Object.fromEntries(this.rules);
    const groups = this.groups.map(({ rule, count, lastLine, first: { file, line, seen } }) => ({
      rule,
      count,
      file,
      line,
      lastLine,
      seen,
    }));
    const traces = this.traces.map(({ file, verdict }) => {
      // these are of all traces together
      const { events: _e, violations: _v, violated: _n, groups: _g, rules: _r, ...rest } = verdict;
      return { file, ...rest };
    });
    return { events, rate, violated, violations, groups, rules, traces };
  }
}

function plus(a: RuleCount | undefined, b: RuleCount): RuleCount {
  if (a === undefined) return b;
  const reasons = new Map(Object.entries(a.notJudged));
  for (const [why, times] of Object.entries(b.notJudged))
    reasons.set(why, (reasons.get(why) ?? 0) + times);
  return {
    exercised: a.exercised + b.exercised,
    violated: a.violated + b.violated,
    notJudged: Object.fromEntries(reasons),
  };
}
