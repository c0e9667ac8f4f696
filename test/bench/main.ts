/**
 * `npm run bench`: measures this engine, also in comparison with fast-check's schedulers. `--smoke`
 * does the same in less time, to show that it runs; `--json` ends with one line of JSON.
 * docs/performance.md explains the output.
 */
import { print, printJson, table } from '../../cli/output.ts';
import { exclusive } from '../../impl/policies/exclusive.ts';
import { Engine } from '../../properties/checker/engine.ts';
import { ScenarioArbitrary } from '../../properties/checker/scenarios/arbitrary.ts';
import { TD_SHAPE } from '../../properties/checker/shapes.ts';
import { scheduledCommands, sequentialCommands } from './commands.ts';
import { linearizing } from './linearizing.ts';
import { inTurns, median, ratio, type Measured, type Plan } from './measure.ts';
import { OPERATIONS, referenceTarget, STEPS_PER_OPERATION } from './reference.ts';
import { replaying } from './replaying.ts';
import { schedulerContenders, sequenceContender, WAIT_IDLE } from './schedulers.ts';
import { shrinkings } from './shrinking.ts';
import { THIS_ENGINE, engineContender, targetOf } from './target.ts';
import { generationContender, RULES_OFF, RULES_ON, throughputContenders } from './throughput.ts';
import { tracing } from './tracing.ts';

interface Effort {
  readonly plan: Plan;
  /** Number of failures to shrink, and of passes over a recording. */
  readonly seeds: number;
  readonly passes: number;
}

const FULL: Effort = { plan: { warmUp: 1000, rounds: 11, slice: 250 }, seeds: 15, passes: 5 };
const SMOKE: Effort = { plan: { warmUp: 120, rounds: 7, slice: 25 }, seeds: 3, passes: 2 };

const flags = new Set(process.argv.slice(2));
const unknown = [...flags].find((flag) => flag !== '--smoke' && flag !== '--json');
if (unknown !== undefined) {
  process.stderr.write(`bench: unknown option ${unknown}; there are --smoke and --json\n`);
  process.exit(2);
}
const { plan, seeds, passes } = flags.has('--smoke') ? SMOKE : FULL;

print(
  'The same actors under this engine and under fast-check ' +
    '(reference: 3 actors, 30 steps a scenario)',
);
const reference = referenceTarget();
const schedulers = await inTurns(
  [
    engineContender(reference),
    ...schedulerContenders(reference),
    sequenceContender(reference, OPERATIONS * STEPS_PER_OPERATION),
    scheduledCommands(reference),
    sequentialCommands(reference),
  ],
  plan,
);
const ours = named(schedulers, THIS_ENGINE);
print(comparison(schedulers, ours));

print('\nA policy with every rule on, likewise (exclusive, scenarios as `sept check` draws them)');
const engine = new Engine({ policy: exclusive, module: '1.5', teardown: false });
const busy = targetOf(engine, new ScenarioArbitrary(TD_SHAPE));
const policy = await inTurns([engineContender(busy), ...schedulerContenders(busy)], plan);
print(comparison(policy, named(policy, THIS_ENGINE)));

print('\nThis engine on the shipped policies');
const throughput = await inTurns(throughputContenders(), plan);
print(
  table(
    ['', 'steps/s', 'from', 'to'],
    throughput.map((m) => [m.name, ...spread(m.stepRates)]),
  ),
);

print('\nDrawing scenarios');
const drawing = await inTurns([generationContender()], plan);
print(
  table(
    ['', 'scenarios/s', 'from', 'to'],
    drawing.map((m) => [m.name, ...spread(m.rates)]),
  ),
);

print(`\nShrinking (medians of ${seeds} failures)`);
print(
  table(
    ['policy', 'rule', 'found after', 'executions', 'ms', 'operations'],
    (await shrinkings(seeds)).map((s) => [
      s.policy,
      s.rule,
      s.foundAfter,
      s.executions,
      s.milliseconds.toFixed(1),
      `${s.from} -> ${s.to}`,
    ]),
  ),
);

print('\nReplaying recorded calls');
const replays = await replaying(passes);
print(
  table(
    ['module', 'from', 'steps/s', 'steps', 'differing'],
    replays.map((r) => [
      r.module,
      r.source,
      rounded(r.stepsPerSecond),
      String(r.steps),
      String(r.differing),
    ]),
  ),
);

print('\nJudging traces of real kernels');
const traced = await tracing(passes);
print(
  `${traced.source}: ${rounded(traced.eventsPerSecond)} events/s, ${traced.events} events, ` +
    `${traced.violated} violations, ` +
    `${rounded(traced.peakMegabytes)} MB at most`,
);

print('\nLinearizability (porcupine: its time for its own histories of that kind)');
const linearized = linearizing(passes);
print(
  table(
    ['history', 'operations', 'ms', 'porcupine, ms'],
    linearized.map((l) => [
      l.name,
      String(l.operations),
      l.milliseconds.toFixed(2),
      String(l.porcupine),
    ]),
  ),
);

if (flags.has('--json')) {
  printJson({
    ratios: {
      fastestFcScheduler: twoDigits(Math.min(...racing(schedulers).map((m) => ratio(ours, m)))),
      recommendedFcScheduler: twoDigits(ratio(ours, named(schedulers, WAIT_IDLE))),
    },
    stepsPerSecond: {
      rulesOn: Math.round(median(named(throughput, RULES_ON).stepRates)),
      rulesOff: Math.round(median(named(throughput, RULES_OFF).stepRates)),
    },
    replayStepsPerSecond: Object.fromEntries(
      replays.map(({ module, stepsPerSecond }) => [module, Math.round(stepsPerSecond)]),
    ),
    tracedEventsPerSecond: Math.round(traced.eventsPerSecond),
    tracePeakMegabytes: Math.round(traced.peakMegabytes),
    linearizability: linearized.map(({ name, operations, milliseconds, porcupine }) => ({
      name,
      operations,
      ms: twoDigits(milliseconds),
      porcupineMs: porcupine,
    })),
  });
}

/** The contenders that use fast-check's scheduler: without it nothing can race. */
function racing(measured: readonly Measured[]): Measured[] {
  const others = new Set([THIS_ENGINE, sequentialCommands(reference).name]);
  return measured.filter(({ name }) => !others.has(name));
}

function named(measured: readonly Measured[], name: string): Measured {
  const found = measured.find((m) => m.name === name);
  if (found === undefined) throw new Error(`nothing called ${name} was measured`);
  return found;
}

function comparison(measured: readonly Measured[], first: Measured): string {
  return table(
    ['', 'scenarios/s', 'from', 'to', 'steps a scenario', 'this engine is faster by'],
    measured.map((m) => [
      m.name,
      ...spread(m.rates),
      (median(m.stepRates) / median(m.rates)).toFixed(1),
      `${ratio(first, m).toFixed(1)}x`,
    ]),
  );
}

/** Median, lowest, highest. */
function spread(rates: readonly number[]): string[] {
  return [median(rates), Math.min(...rates), Math.max(...rates)].map(rounded);
}

function rounded(rate: number): string {
  return Math.round(rate).toLocaleString('en-US');
}

function twoDigits(value: number): number {
  return Math.round(value * 100) / 100;
}
