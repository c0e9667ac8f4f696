/**
 * A watchdog for policies and modules from outside the package: a loop that never yields would keep
 * the command running for ever. node:vm can stop synchronous code after a time, wherever it is.
 */
import { createContext, Script } from 'node:vm';

const LIMIT_MS = 2000;
export const LIMIT_SECONDS = LIMIT_MS / 1000;

/** A run did not end in time. */
export class NoStep extends Error {
  override readonly name = 'NoStep';
}

/** Wraps a run, as `guard` of the engine's options. */
export function watchdog(): (run: () => void) => void {
  const script = new Script('run()');
  const globals = { run: (): void => {} };
  const context = createContext(globals);
  return (run) => {
    globals.run = run;
    try {
      script.runInContext(context, { timeout: LIMIT_MS });
    } catch (error) {
      if (!isTimeout(error)) throw error;
      throw new NoStep(
        `it took no step for ${LIMIT_SECONDS} s; every loop of a policy needs a yield*`,
        { cause: error },
      );
    }
  };
}

/** The error comes from another realm, so it is no instance of our Error. */
const isTimeout = (error: unknown): boolean =>
  typeof error === 'object' &&
  error !== null &&
  'code' in error &&
  error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
