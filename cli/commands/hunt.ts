/**
 * `sept hunt`: runs random raw calls on the specified module, and reports halts, locks that are
 * left behind, and histories that no order of the calls explains.
 */
import { Command } from 'commander';
import { guardOf } from '../../properties/checker/module-guard.ts';
import { hunt, type Cause, type HuntResult } from '../../properties/module/hunt/hunt.ts';
import { KNOWN_FINDINGS } from '../../properties/module/hunt/known-findings.ts';
import { nameOf, type ModuleVersion } from '../../spec/tdx/versions/index.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { moduleNamed } from '../module-names.ts';
import {
  deadline,
  jsonOption,
  moduleOption,
  runsOption,
  seedOption,
  timeOption,
  type SharedOptions,
} from '../options.ts';
import { print, printJson, Progress } from '../output.ts';

const DEFAULT_SEED = 1;
const DEFAULT_RUNS = 100_000;

type Options = Pick<SharedOptions, 'json' | 'module' | 'seed' | 'runs' | 'time'>;

/** The command. It calls `exit` with the exit status. */
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
Without --time and --runs, the hunt runs ${DEFAULT_RUNS} scenarios. A scenario depends on the seed and
its number alone. The hunt prints the shortest scenario that it found for each cause, and the finding
of docs/findings.md that the cause belongs to: ${KNOWN_FINDINGS.join(', ')}, or new.
Exit code: 0 no cause found, 1 one or more found, 2 unusable command line.`,
    )
    .action(async ({ module: version, time, runs, seed = DEFAULT_SEED, json }: Options) => {
      const module = await moduleNamed(version);
      const progress = new Progress();
      const result = hunt({
        module,
        seed,
        runs: runs ?? (time === undefined ? DEFAULT_RUNS : Infinity),
        expired: deadline(time),
        progress: (scenarios, anomalies) =>
          progress.show(`${scenarios} scenarios, ${anomalies} anomalies`),
      });
      progress.clear();
      if (json === true) printJson({ module: nameOf(module), ...jsonOf(result) });
      else printResult(result, module);
      exit(result.causes.length === 0 ? EXIT_CLEAN : EXIT_FINDINGS);
    });

/** The result with the field names of --json. */
const jsonOf = ({ scenarios, undecided, causes }: HuntResult): object => ({
  histories: scenarios,
  undecided,
  findings: causes.map(({ title, finding, stage, stages, calls, scenario }: Cause) => ({
    cause: title,
    known: finding,
    state: stage,
    states: stages,
    calls,
    history: scenario,
  })),
});

function printResult({ scenarios, undecided, causes }: HuntResult, module: ModuleVersion): void {
  const guard = guardOf(module);
  const on = guard === undefined ? '' : ` on ${guard.title}`;
  print(`${scenarios} scenarios${on}, ${undecided} of them undecided, ${causes.length} causes`);
  for (const { title, finding, stage, stages, calls, scenario } of causes) {
    print('');
    print(`${finding ?? 'new'}: ${title}; TD ${stages.join(', ')}`);
    print(`  TD ${stage}: ${scenario}`);
    for (const call of calls) print(`    ${call}`);
  }
}
