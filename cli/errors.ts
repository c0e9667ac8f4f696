/** Exit statuses, and the errors that a user causes. */
import { NoPolicy } from '../impl/index.ts';
import { NotDeterministic } from '../properties/checker/check.ts';
import { PolicyError, UnusableScenario } from '../properties/checker/engine.ts';
import { ScenarioSyntaxError } from '../properties/checker/scenarios/text.ts';
import { InputError } from '../properties/files/input.ts';
import { NoRule } from '../properties/rules/discovery.ts';

/** Nothing was found. */
export const EXIT_CLEAN = 0;
/** Something was found. */
export const EXIT_FINDINGS = 1;
/** The input or the command line is unusable. */
export const EXIT_UNUSABLE = 2;

/** An unusable command line. The message is one line, and says what to do instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Whether an error is about the user's input, not a defect of this program. */
export const isUserError = (error: unknown): error is Error =>
  USER_ERRORS.some((kind) => error instanceof kind);

const USER_ERRORS = [
  UsageError,
  InputError,
  ScenarioSyntaxError,
  UnusableScenario,
  NoPolicy,
  NoRule,
  PolicyError,
  NotDeterministic,
];
