/**
 * The `sept` command, with a file in commands/ for each subcommand. All exit with 0 if nothing was
 * found, with 1 if something was, and with 2 and one line on stderr if the input or the command
 * line is unusable.
 */
import { Command, CommanderError } from 'commander';
import { checkCommand } from './commands/check.ts';
import { conflictsCommand } from './commands/conflicts.ts';
import { huntCommand } from './commands/hunt.ts';
import { judgeCommand } from './commands/judge.ts';
import { linearizeCommand } from './commands/linearize.ts';
import { newCommand } from './commands/new.ts';
import { probesCommand } from './commands/probes.ts';
import { replayCommand } from './commands/replay.ts';
import { rulesCommand } from './commands/rules.ts';
import { showCommand } from './commands/show.ts';
import { traceCommand } from './commands/trace.ts';
import { locationOf } from './error-location.ts';
import { EXIT_CLEAN, EXIT_UNUSABLE, isUserError } from './errors.ts';
import { warn } from './output.ts';
import { packageVersion } from './package-version.ts';

/** The subcommands. A new one is added here. */
const COMMANDS = [
  checkCommand,
  showCommand,
  rulesCommand,
  newCommand,
  replayCommand,
  conflictsCommand,
  judgeCommand,
  huntCommand,
  linearizeCommand,
  traceCommand,
  probesCommand,
];

/** Returns a command and all its subcommands. */
function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** Runs a command line. Returns the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  let code = EXIT_CLEAN;
  const exit = (by: number): void => {
    code = by;
  };
  const program = new Command('sept')
    .description("Checks of the TDX module's Secure EPT and of KVM's TDP MMU")
    .version(packageVersion(), '-V, --version', 'print the version')
    .configureOutput({ writeErr: (text) => warn(text.trimEnd()) });
  for (const command of COMMANDS) program.addCommand(command(exit));
  for (const command of withSubcommands(program)) command.exitOverride().showSuggestionAfterError();
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CLEAN : EXIT_UNUSABLE;
    if (!isUserError(error)) throw error;
    warn(`sept: ${error.message}${locationOf(error.cause)}`);
    return EXIT_UNUSABLE;
  }
  return code;
}
