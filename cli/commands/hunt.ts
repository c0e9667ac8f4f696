/**
 * `sept hunt`: random programs of raw calls on the specified module, looked through for halts,
 * locks that are left behind and histories that no order of the calls explains.
 */
import { Command } from 'commander';
import { hunt, type Hunt } from '../../properties/module/hunt/hunt.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import {
  deadline,
  jsonOption,
  moduleOption,
  runsOption,
  seedOption,
  timeOption,
  type Knobs,
} from '../options.ts';
import { print, printJson, Progress } from '../output.ts';

const DEFAULT_SEED = 1;
const DEFAULT_RUNS = 100_000;

type Options = Pick<Knobs, 'json' | 'module' | 'seed' | 'runs' | 'time'>;

/** The command; it answers with the exit code. */
export const huntCommand = (exit: (code: number) => void): Command =>
  new Command('hunt')
    .description(
      'look for races of the TDX module: random raw calls, step by step, judged one call at a time',
    )
    .addOption(moduleOption())
    .addOption(timeOption())
    .addOption(runsOption())
    .addOption(seedOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Without --time and --runs it is ${DEFAULT_RUNS} histories. A history is a function of the seed and its number; what was
found is shown as the shortest history that was found for each cause. docs/findings.md says which are known.
Exit code: 0 nothing found, 1 findings, 2 unusable command line.`,
    )
    .action(({ module, time, runs, seed = DEFAULT_SEED, json }: Options) => {
      const progress = new Progress();
      const found = hunt({
        module,
        seed,
        runs: runs ?? (time === undefined ? DEFAULT_RUNS : Infinity),
        expired: deadline(time),
        progress: (histories, findings) =>
          progress.show(`${histories} histories, ${findings} findings`),
      });
      progress.clear();
      if (json === true) printJson(found);
      else printHunt(found);
      exit(found.findings.length === 0 ? EXIT_CLEAN : EXIT_FINDINGS);
    });

function printHunt({ histories, undecided, findings }: Hunt): void {
  print(`${histories} histories, ${undecided} of them undecided, ${findings.length} findings`);
  for (const { cause, known, state, states, calls, history } of findings) {
    print('');
    print(`${known ?? 'new'}: ${cause}; TD ${states.join(', ')}`);
    print(`  TD ${state}: ${history}`);
    for (const call of calls) print(`    ${call}`);
  }
}
