/**
 * Rules are data with a check. A rule's object is read by the monitor that enforces it, by test
 * titles, by reports and by the catalogue in docs/: nothing about a rule is written twice.
 */

/**
 * - `required`: every run must obey it, and a campaign that never exercised it did not pass it.
 * - `stochastic`: must hold, but whether a campaign meets its premise is a matter of chance.
 * - `untested`: known and listed; `reason` says why no monitor judges it.
 */
export type Level = 'required' | 'stochastic' | 'untested';

export interface RuleText {
  /** Stable id: T.. for the TDX module, K.. for KVM, S.. for the system as a whole. */
  readonly id: string;
  readonly level: Level;
  /** One sentence that a maintainer can agree or disagree with. */
  readonly statement: string;
  /** Document and section, or file and function, or the recording that shows it. */
  readonly source: string;
  /** Why the rule exists, in one sentence. Every shipped rule has one. */
  readonly intent?: string;
  /** What to look at when the rule breaks, in one sentence. Every shipped rule has one. */
  readonly hint?: string;
  /** The versions it holds for, e.g. module versions; `['*']` for all. */
  readonly versions: readonly string[];
  /** Only for `untested`: why. */
  readonly reason?: string;
}

/** What a monitor reports: a value, never a bare throw. */
export interface Violation {
  readonly rule: string;
  /** The run's step at which the rule fired, counted from 0. */
  readonly step: number;
  /** Index of the acting actor, or -1 when nobody was (the end of the run). */
  readonly actor: number;
  readonly expected: string;
  readonly seen: string;
}

/** Orders ids by family, then by number: K9 before K10, K68 before S01. K2 and K02 are equal. */
export function compareIds(a: string, b: string): number {
  const [familyA, numberA] = partsOf(a);
  const [familyB, numberB] = partsOf(b);
  return familyA === familyB ? numberA - numberB : familyA < familyB ? -1 : 1;
}

/** The letters and the number of an id. */
function partsOf(id: string): readonly [family: string, number: number] {
  const [, family = '', digits] = /^(\D*)(\d*)/.exec(id) ?? [];
  return [family, Number(digits)];
}
