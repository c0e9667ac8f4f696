import { NoPolicy } from '../impl/index.ts';
import { NotDeterministic } from '../properties/checker/check.ts';
import { PolicyError, UnusableScenario } from '../properties/checker/engine.ts';
import { ScenarioSyntaxError } from '../properties/checker/scenarios/text.ts';
import { InputError } from '../properties/files/input.ts';
import { NoRule } from '../properties/rules/discovery.ts';

/** Nothing found / a check found something / the input or the command line was unusable. */
export const EXIT_CLEAN = 0;
export const EXIT_FINDINGS = 1;
export const EXIT_UNUSABLE = 2;

/** A command line that cannot be followed; the message is one line that says what to do instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Errors that are about what somebody gave us, not about this program. */
export const isTheirs = (error: unknown): error is Error =>
  THEIRS.some((kind) => error instanceof kind);

const THEIRS = [
  UsageError,
  InputError,
  ScenarioSyntaxError,
  UnusableScenario,
  NoPolicy,
  NoRule,
  PolicyError,
  NotDeterministic,
];
