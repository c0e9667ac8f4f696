/**
 * The `sept` command, with a file in commands/ for each subcommand. All exit with 0 if nothing was
 * found, with 1 if something was, and with 2 and one line on stderr if the input or the command
 * line is unusable. `sept trace` exits with 3 if nothing could be judged.
 */
import { Command, CommanderError } from 'commander';
import { locationOf } from './error-location.ts';
import { EXIT_CLEAN, EXIT_UNUSABLE, isUserError } from './errors.ts';
import { oneLine, warn } from './output.ts';
import { packageVersion } from './package-version.ts';

type MakeCommand = (exit: (code: number) => void) => Command;

/** The subcommands. A new one is added here. A command line loads the files of its own only. */
const COMMANDS: ReadonlyMap<string, () => Promise<MakeCommand>> = new Map([
  ['check', async () => (await import('./commands/check.ts')).checkCommand],
  ['show', async () => (await import('./commands/show.ts')).showCommand],
  ['question', async () => (await import('./commands/question.ts')).questionCommand],
  ['policies', async () => (await import('./commands/policies.ts')).policiesCommand],
  ['rules', async () => (await import('./commands/rules.ts')).rulesCommand],
  ['new', async () => (await import('./commands/new.ts')).newCommand],
  ['replay', async () => (await import('./commands/replay.ts')).replayCommand],
  ['conflicts', async () => (await import('./commands/conflicts.ts')).conflictsCommand],
  ['judge', async () => (await import('./commands/judge.ts')).judgeCommand],
  ['hunt', async () => (await import('./commands/hunt.ts')).huntCommand],
  ['linearize', async () => (await import('./commands/linearize.ts')).linearizeCommand],
  ['trace', async () => (await import('./commands/trace.ts')).traceCommand],
  ['probes', async () => (await import('./commands/probes.ts')).probesCommand],
]);

/** The commands that a command line can mean: the one that it names, else all. */
function commandsFor([name = '']: readonly string[]): Promise<MakeCommand[]> {
  const named = COMMANDS.get(name);
  const loads = named === undefined ? [...COMMANDS.values()] : [named];
  return Promise.all(loads.map((load) => load()));
}

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
    .version(packageVersion(), '-V, --version', 'print the version');
  for (const command of await commandsFor(args)) program.addCommand(command(exit));
  for (const command of withSubcommands(program))
    command
      .exitOverride()
      .showSuggestionAfterError()
      .configureOutput({ writeErr: (text) => warn(oneLine(text)) });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CLEAN : EXIT_UNUSABLE;
    if (!isUserError(error)) throw error;
    warn(oneLine(`sept: ${error.message}${locationOf(error.cause)}`));
    return EXIT_UNUSABLE;
  }
  return code;
}
