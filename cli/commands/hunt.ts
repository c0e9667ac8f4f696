/**
 * `sept hunt`: runs random raw calls on the specified module, and reports halts, locks that are
 * left behind, and histories that no order of the calls explains; or runs one given scenario.
 */
import { Command, Option } from 'commander';
import { nearly } from '../../impl/did-you-mean.ts';
import { guardOf, handleOf } from '../../properties/checker/module-guard.ts';
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import { BEGINNINGS, type Beginning } from '../../properties/module/hunt/beginnings.ts';
import { huntCalls } from '../../properties/module/hunt/calls.ts';
import type { CallCount, Exercised } from '../../properties/module/hunt/coverage.ts';
import { hunt, type Cause, type HuntResult } from '../../properties/module/hunt/hunt.ts';
import { Hunter, inWords, UNDECIDED } from '../../properties/module/hunt/hunter.ts';
import { KNOWN_FINDINGS, knownFinding } from '../../properties/module/hunt/known-findings.ts';
import { GUEST_CALLS, IDLE, LEAVE } from '../../properties/module/rig/calls.ts';
import { nameOf, versionData, type ModuleVersion } from '../../spec/tdx/versions/index.ts';
import { EXIT_CLEAN, EXIT_FINDINGS, UsageError } from '../errors.ts';
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
import { print, printJson, Progress, table } from '../output.ts';

const DEFAULT_SEED = 1;
const DEFAULT_RUNS = 100_000;
const DEFAULT_BEGINNING = 'RUNNABLE';
const GUEST_OPERATIONS = [...GUEST_CALLS.keys(), IDLE, LEAVE];

interface Options extends Pick<SharedOptions, 'json' | 'module' | 'seed' | 'runs' | 'time'> {
  readonly begin?: Beginning;
  readonly actors?: '2' | '3';
}

const beginOption = (): Option =>
  new Option('--begin <name>', 'state in which scenarios begin (default: every one)').choices(
    BEGINNINGS,
  );
const actorsOption = (): Option =>
  new Option('--actors <n>', 'number of actors of each scenario (default: 2 or 3)').choices([
    '2',
    '3',
  ]);

/** The command. It calls `exit` with the exit status. */
export const huntCommand = (exit: (code: number) => void): Command =>
  new Command('hunt')
    .description(
      'look for races of the TDX module: random raw calls, step by step, judged one call at a time',
    )
    .argument('[scenario]', 'run this scenario only, and print its calls with their answers')
    .addOption(moduleOption())
    .addOption(beginOption())
    .addOption(actorsOption())
    .addOption(timeOption())
    .addOption(runsOption())
    .addOption(seedOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Without --time and --runs, the hunt runs ${DEFAULT_RUNS} scenarios. A scenario depends on the seed and
its number alone. The hunt prints, for each cause, the command that runs the shortest scenario that it
found, and the finding of docs/findings.md that the cause belongs to: ${KNOWN_FINDINGS.join(', ')}, or new.
Exit code: 0 no new cause found, 1 one or more found, 2 unusable command line.`,
    )
    .action(async (text: string | undefined, options: Options) => {
      const module = await moduleNamed(options.module);
      const isNew =
        text === undefined ? runHunt(module, options) : runScenario(module, text, options);
      exit(isNew ? EXIT_FINDINGS : EXIT_CLEAN);
    });

/** Runs one scenario and prints it. Returns whether it shows a cause without a finding. */
function runScenario(
  module: ModuleVersion,
  text: string,
  { begin = DEFAULT_BEGINNING, json }: Options,
): boolean {
  const hunter = new Hunter(module, begin);
  const anomaly = hunter.judge(usable(module, parseScenario(text)));
  const isUndecided = anomaly === UNDECIDED;
  const found = isUndecided ? null : anomaly;
  const finding = found === null ? null : knownFinding(found);
  const calls = inWords(hunter.calls);
  const symptom = isUndecided ? UNDECIDED : (found?.symptom ?? null);
  if (json === true) printJson({ module: nameOf(module), begin, calls, symptom, finding });
  else {
    for (const call of calls) print(call);
    print('');
    print(
      found === null
        ? `${symptom ?? 'an order of the calls explains their answers and the final state'}`
        : `${finding ?? 'new'}: ${symptom}`,
    );
  }
  return found !== null && finding === null;
}

/** A scenario whose operations a hunt has. @throws UsageError */
function usable(module: ModuleVersion, scenario: Scenario): Scenario {
  const ofHost = [...huntCalls(versionData(module)).keys(), IDLE];
  for (const { role, operations } of scenario.actors) {
    const names = role === 'vcpu' ? GUEST_OPERATIONS : ofHost;
    for (const { name } of operations) {
      if (names.includes(name)) continue;
      const similar = names.find((other) => nearly(name, other));
      throw new UsageError(
        `a hunt has no operation "${name}"; ` +
          (similar === undefined ? `try ${names.join(', ')}` : `did you mean "${similar}"?`),
      );
    }
  }
  return scenario;
}

/** Hunts and prints the result. Returns whether it has a cause without a finding. */
function runHunt(
  module: ModuleVersion,
  { begin, actors, time, runs, seed = DEFAULT_SEED, json }: Options,
): boolean {
  const progress = new Progress();
  const result = hunt({
    module,
    seed,
    runs: runs ?? (time === undefined ? DEFAULT_RUNS : Infinity),
    ...(begin === undefined ? {} : { beginnings: [begin] }),
    ...(actors === undefined ? {} : { actors: Number(actors) }),
    expired: deadline(time),
    progress: (scenarios, anomalies) =>
      progress.show(`${scenarios} scenarios, ${anomalies} anomalies`),
  });
  progress.clear();
  if (json === true) printJson({ module: nameOf(module), ...jsonOf(result) });
  else {
    const title = guardOf(module)?.title ?? `module ${nameOf(module)}`;
    printResult(result, `${title}, seed ${seed}`, commandOf(module));
  }
  return result.causes.some(({ finding }) => finding === null);
}

/** The command that runs the scenario of a cause. */
const commandOf =
  (module: ModuleVersion) =>
  ({ beginning, scenario }: Cause): string =>
    `sept hunt --module ${handleOf(module)} --begin ${beginning} '${scenario}'`;

/** The result with the field names of --json. */
const jsonOf = ({ scenarios, judged, undecided, causes, exercised }: HuntResult): object => ({
  histories: scenarios,
  judged,
  undecided,
  findings: causes.map(({ title, finding, beginning, beginnings, calls, scenario }: Cause) => ({
    cause: title,
    known: finding,
    state: beginning,
    states: beginnings,
    calls,
    history: scenario,
  })),
  exercised: {
    beginnings: Object.fromEntries(exercised.beginnings),
    calls: exercised.calls,
  },
});

function printResult(
  { scenarios, judged, undecided, causes, exercised }: HuntResult,
  budget: string,
  command: (cause: Cause) => string,
): void {
  print(
    `${budget}: ${scenarios} scenarios, calls overlap in ${judged}, ${undecided} are undecided`,
  );
  print(verdictOn(causes));
  for (const cause of causes) {
    print('');
    print(`${cause.finding ?? 'new'}: ${cause.title}`);
    print(`  met in ${cause.beginnings.join(', ')}`);
    print(`  ${command(cause)}`);
    for (const call of cause.calls) print(`    ${call}`);
  }
  print('');
  printExercised(exercised);
}

/** One line: whether every cause has a finding. */
function verdictOn(causes: readonly Cause[]): string {
  const unknown = causes.filter(({ finding }) => finding === null).length;
  const findings = KNOWN_FINDINGS.filter((id) => causes.some(({ finding }) => finding === id));
  const known = `${counted(causes.length - unknown, 'cause')} of ${findings.join(', ')}`;
  return unknown > 0
    ? `${counted(unknown, 'new cause')}${findings.length > 0 ? `, and ${known}` : ''}`
    : `clean of unknown causes${findings.length > 0 ? `: ${known}` : ''}`;
}

const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

function printExercised({ beginnings, calls }: Exercised): void {
  print(table(['begins in', 'scenarios'], beginnings));
  print('');
  const called = calls.filter((counts) => counts.called > 0);
  print(
    table(
      ['call', 'called', 'succeeded', 'busy'],
      called.map(({ name, called: times, succeeded, busy }) => [name, times, succeeded, busy]),
    ),
  );
  printNames('never called', calls, (counts) => counts.called === 0);
  printNames('never succeeded', called, (counts) => counts.succeeded === 0);
  printNames('never refused a lock', called, (counts) => counts.busy === 0);
}

function printNames(
  what: string,
  calls: readonly CallCount[],
  isOne: (counts: CallCount) => boolean,
): void {
  const names = calls.filter(isOne).map(({ name }) => name);
  if (names.length > 0) print(`${what}: ${names.join(', ')}`);
}
