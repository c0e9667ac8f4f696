/** Counts and violations of the monitors of a trace. */
import type { EventName } from './reader/event-table.ts';
import type { TraceRule } from './rules/rule.ts';
import type { RuleCount, TraceGroup, TraceViolation } from './verdict.ts';

type HasSeen = (name: EventName) => boolean;

/** Maximum number of groups of a monitor's violations. */
const GROUPS = 1000;
/** Maximum number of the last violations that can be withdrawn. */
const RECENT = 100_000;

/** A violation that only counts if the trace records every event in `unless`. */
interface Reported {
  readonly violation: TraceViolation;
  readonly unless: readonly EventName[];
}

/** A violation that may have to be withdrawn. */
interface Recent {
  readonly line: number;
  readonly group: Group | undefined;
  readonly missing: EventName | undefined;
}

/** Place of a violation, what was seen, and the events that it needs to count. */
interface Counted {
  readonly line: number;
  readonly seen: string;
  readonly unless: readonly EventName[];
}

interface Group {
  readonly first: TraceViolation;
  readonly unless: readonly EventName[];
  count: number;
  lastLine: number;
}

const addTo = <Name>(counts: Map<Name, number>, name: Name, times: number): void => {
  counts.set(name, (counts.get(name) ?? 0) + times);
};

/** What violations have in common: what was seen, without its numbers. */
export const shapeOf = (seen: string): string =>
  seen.replaceAll(/\b(?:0x[\da-f]+|[\da-f]*\d[\da-f]*)\b/g, '#');

/** Counts and violations of one monitor. A rule may have several. */
export class Tally {
  readonly rule: TraceRule;
  exercised = 0;
  violated = 0;
  readonly notJudged = new Map<string, number>();
  readonly reported: Reported[] = [];
  private readonly recent: Recent[] = [];
  /** Groups of violations, by what they have in common. */
  private readonly groups = new Map<string, Group>();
  /** Number of violations that do not count if no event of this name is recorded. */
  private readonly conditional = new Map<EventName, number>();

  constructor(rule: TraceRule) {
    this.rule = rule;
  }

  /**
   * Counts a violation, for now also one whose `unless` a later event may still satisfy. Calls
   * `make` for the first of its group only.
   */
  count(where: Counted, hasSeen: HasSeen, make: () => TraceViolation): void {
    const { line, unless } = where;
    this.violated++;
    const missing = unless.find((name) => !hasSeen(name));
    if (missing !== undefined) addTo(this.conditional, missing, 1);
    if (this.recent.length >= RECENT) this.recent.splice(0, RECENT / 2);
    this.recent.push({ line, group: this.group(where, make), missing });
  }

  private group({ seen, line, unless }: Counted, make: () => TraceViolation): Group | undefined {
    const shape = `${unless.join(' ')}: ${shapeOf(seen)}`;
    const known = this.groups.get(shape);
    if (known !== undefined) {
      known.count++;
      known.lastLine = line;
      return known;
    }
    if (this.groups.size >= GROUPS) return undefined;
    const group = { first: make(), unless, count: 1, lastLine: line };
    this.groups.set(shape, group);
    return group;
  }

  /** Withdraws the violations after a line, because events from then on were lost. */
  withdraw(line: number, why: string): void {
    let withdrawn = 0;
    for (let last = this.recent.at(-1); last !== undefined && last.line > line; withdrawn++) {
      this.recent.pop();
      this.violated--;
      if (last.group !== undefined) last.group.count--;
      if (last.missing !== undefined) addTo(this.conditional, last.missing, -1);
      last = this.recent.at(-1);
    }
    if (withdrawn === 0) return;
    while ((this.reported.at(-1)?.violation.line ?? 0) > line) this.reported.pop();
    for (const [shape, { count }] of this.groups) if (count === 0) this.groups.delete(shape);
    this.skip(why, withdrawn);
  }

  /** Counts what was not judged, and why. */
  skip(why: string, times = 1): void {
    addTo(this.notJudged, why, times);
  }

  /** Violations that count, at the end of the trace. */
  violations(hasSeen: HasSeen): TraceViolation[] {
    return this.reported
      .filter(({ unless }) => unless.every(hasSeen))
      .map(({ violation }) => violation);
  }

  /** Groups of the violations that count, at the end of the trace. */
  grouped(hasSeen: HasSeen): TraceGroup[] {
    return [...this.groups.values()]
      .filter(({ unless }) => unless.every(hasSeen))
      .map(({ first, count, lastLine }) => ({ rule: this.rule.id, count, lastLine, first }));
  }

  /** Whether a violation counts already, whatever follows in the trace. */
  isCertain(unless: readonly EventName[], hasSeen: HasSeen): boolean {
    return unless.every(hasSeen) && this.missing(hasSeen).length === 0;
  }

  /** Drops everything, because the trace cannot be judged. */
  refuse(why: string): void {
    this.notJudged.clear();
    this.drop(why);
  }

  private drop(why: string): void {
    this.exercised = 0;
    this.violated = 0;
    this.reported.length = 0;
    this.recent.length = 0;
    this.groups.clear();
    this.skip(why);
  }

  /**
   * Drops, at the end of the trace, what does not count: violations without the events in their
   * `unless`; and everything, if the trace lacks events that the monitor needs.
   */
  discount(hasSeen: HasSeen): void {
    for (const [name, times] of this.conditional) {
      if (hasSeen(name) || times === 0) continue;
      this.violated -= times;
      this.skip(missingText([name]), times);
    }
    const missing = this.missing(hasSeen);
    if (missing.length > 0) this.drop(missingText(missing));
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
    for (const [why, times] of tally.notJudged) addTo(notJudged, why, times);
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
