/**
 * The `sept` command. Each command is a file in commands/; what they share is how they end: 0 when
 * nothing was found, 1 when something was, 2 with one line on stderr when the input or the command
 * line cannot be used.
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
import { placeOf } from './error-location.ts';
import { EXIT_CLEAN, EXIT_UNUSABLE, isTheirs } from './errors.ts';
import { warn } from './output.ts';

/** Add a command here. */
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

/** A command and those below it. */
function withSub(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSub)];
}

/** Follows a command line; answers with the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let code = EXIT_CLEAN;
  const exit = (by: number): void => {
    code = by;
  };
  const program = new Command('sept')
    .description("Checks of the TDX module's Secure EPT and of KVM's TDP MMU")
    .configureOutput({ writeErr: (text) => warn(text.trimEnd()) });
  for (const command of COMMANDS) program.addCommand(command(exit));
  for (const command of withSub(program)) command.exitOverride().showSuggestionAfterError();
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CLEAN : EXIT_UNUSABLE;
    if (!isTheirs(error)) throw error;
    warn(`sept: ${error.message}${placeOf(error.cause)}`);
    return EXIT_UNUSABLE;
  }
  return code;
}
