/** Runs the commands of maintainers, as `npm run record`, with the exit statuses of `sept`. */
import { CommanderError, type Command } from 'commander';
import { EXIT_CLEAN, EXIT_UNUSABLE, isUserError } from './errors.ts';
import { oneLine, warn } from './output.ts';

/** Runs a command line of `program`. An unusable one is one line on stderr, and ends with 2. */
export async function runTool(program: Command): Promise<void> {
  program.exitOverride().configureOutput({ writeErr: (text) => warn(oneLine(text)) });
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT_CLEAN : EXIT_UNUSABLE;
      return;
    }
    if (!isUserError(error)) throw error;
    warn(oneLine(error.message));
    process.exitCode = EXIT_UNUSABLE;
  }
}
