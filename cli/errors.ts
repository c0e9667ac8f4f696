/** Exit statuses, and the errors that a user causes. */

/** Nothing was found. */
export const EXIT_CLEAN = 0;
/** Something was found. */
export const EXIT_FINDINGS = 1;
/** The input or the command line is unusable. */
export const EXIT_UNUSABLE = 2;

/** The input is usable, and shows nothing that could be judged. */
export const EXIT_NOT_JUDGED = 3;

/** An unusable command line. The message is one line, and says what to do instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Whether an error is about the user's input, not a defect of this program. */
export const isUserError = (error: unknown): error is Error =>
  error instanceof Error && USER_ERRORS.has(error.name);

/** By name, so that no command loads the files of all others for their errors. */
const USER_ERRORS: ReadonlySet<string> = new Set([
  'UsageError',
  'InputError',
  'ScenarioSyntaxError',
  'UnusableScenario',
  'NoModule',
  'UnusableTree',
  'NoPolicy',
  'NoRule',
  'ModuleError',
  'PolicyError',
  'NotDeterministic',
]);
