/**
 * The `sept` command. Each command is a file in commands/; what they share is how they end: 0 when nothing was found,
 * 1 when something was, 2 with one line on stderr when the input or the command line cannot be used.
 */
import { Command, CommanderError } from 'commander';
import { checkCommand } from './commands/check.ts';
import { conflictsCommand } from './commands/conflicts.ts';
import { newCommand } from './commands/new.ts';
import { replayCommand } from './commands/replay.ts';
import { rulesCommand } from './commands/rules.ts';
import { showCommand } from './commands/show.ts';
import { traceCommand } from './commands/trace.ts';
import { EXIT_UNUSABLE, isTheirs } from './errors.ts';
import { warn } from './output.ts';
import { placeOf } from './place.ts';

/** Add a command here. */
const COMMANDS = [checkCommand, showCommand, rulesCommand, newCommand, replayCommand, conflictsCommand, traceCommand];

function exit(code: number): void {
  process.exitCode = code;
}

/** A command and those below it. */
function withSub(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSub)];
}

// a reader that has seen enough (`| head`) is no error
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const program = new Command('sept')
  .description("Checks of the TDX module's Secure EPT and of KVM's TDP MMU")
  .configureOutput({ writeErr: (text) => warn(text.trimEnd()) });
for (const command of COMMANDS) program.addCommand(command(exit));
for (const command of withSub(program)) command.exitOverride().showSuggestionAfterError();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) exit(error.exitCode === 0 ? 0 : EXIT_UNUSABLE);
  else if (isTheirs(error)) {
    warn(`sept: ${error.message}${placeOf(error.cause)}`);
    exit(EXIT_UNUSABLE);
  } else throw error;
}
