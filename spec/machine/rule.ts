/**
 * Rules are data with a monitor. Test titles, reports and the catalogue in docs/ read the rule's
 * object: nothing about a rule is written twice.
 */

/**
 * - `required`: every run must obey the rule, and a campaign has to exercise it to pass.
 * - `stochastic`: every run must obey the rule; whether a campaign exercises it is left to chance.
 * - `untested`: the rule is listed, and `reason` states why no monitor judges it.
 */
export type Level = 'required' | 'stochastic' | 'untested';

/** What a rule says, apart from its monitor. */
export interface RuleText {
  /** Stable id: H for hardware and primitives, T for the module, K for KVM, S for the system. */
  readonly id: string;
  readonly level: Level;
  /** One sentence that a maintainer can agree or disagree with. */
  readonly statement: string;
  /** Document and section, file and function, or commit; and what was measured. */
  readonly source: string;
  /** Why the rule exists: what goes wrong otherwise. One sentence; every shipped rule has one. */
  readonly intent?: string;
  /** What to inspect when the rule breaks. One sentence; every shipped rule has one. */
  readonly hint?: string;
  /**
   * Versions of the module for which the rule holds, their families, or a feature that they have;
   * `['*']` for all.
   */
  readonly versions: readonly string[];
  /** Why no monitor judges the rule; only for `untested`. */
  readonly reason?: string;
}

/** One rule broken in one run, at one step. */
export interface Violation {
  readonly rule: string;
  /** Step of the run at which the rule broke, counted from 0. */
  readonly step: number;
  /** Index of the actor that took the step, or -1 at the end of the run. */
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
