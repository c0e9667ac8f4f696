/**
 * Is a run a function of its scenario? A policy that keeps state of its own between runs can pass
 * by luck, and what it fails by cannot be replayed. So scenarios are run twice, one after the other
 * and then in the opposite order, on one VM, and every write of the second run has to be that of
 * the first.
 */
import fc from 'fast-check';
import { check, NotDeterministic, type CheckOptions, type Verdict } from './check.ts';
import { Engine, type EngineOptions } from './engine.ts';
import { ScenarioArbitrary } from './scenarios/arbitrary.ts';
import { CORPUS } from './scenarios/corpus.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { formatScenario } from './scenarios/text.ts';
import { shapesOf } from './shapes.ts';

/** Scenarios that are run twice, besides the corpus: a fraction of a second. */
const SAMPLE = 200;

/**
 * {@link check} for a policy that is not ours. One that fails has had its counterexamples confirmed
 * already.
 *
 * @throws NotDeterministic, PolicyError
 */
export function checkForeign(options: CheckOptions): Verdict {
  const verdict = check(options);
  const shapes = options.shapes ?? shapesOf(options.policy);
  const random = fc.sample(new ScenarioArbitrary(...shapes), {
    seed: options.seed,
    numRuns: SAMPLE,
  });
  if (verdict.counterexamples.length === 0) {
    const corpus = CORPUS.filter(({ vm }) => options.policy.vms.includes(vm));
    assertSteady(options, [...corpus, ...random]);
  }
  return verdict;
}

/**
 * Runs each scenario twice. @throws NotDeterministic at the first step that is another one the
 * second time
 */
export function assertSteady(
  { policy, module, guard }: EngineOptions,
  scenarios: readonly Scenario[],
): void {
  const options = { policy, module, ...(guard === undefined ? {} : { guard }), rules: false };
  const engines = new Map(policy.vms.map((kind) => [kind, new Engine({ ...options, kind })]));
  const runs = scenarios.map((scenario) => {
    const engine = engines.get(scenario.vm) as Engine; // one for each kind
    return { scenario, engine, before: writesOf(engine, scenario) };
  });
  for (const { scenario, engine, before } of runs.toReversed()) {
    const difference = differenceOf(engine, before, writesOf(engine, scenario));
    if (difference === null) continue;
    throw new NotDeterministic(
      `policy ${policy.name} is not deterministic: run again, '${formatScenario(scenario)}' parts at ${difference}; ` +
        'a policy keeps no state of its own between runs',
    );
  }
}

/** What a run writes, in order: numbers, as each write costs. */
interface Writes {
  /** The step, the cell and its new value of each write, as one row. */
  readonly rows: readonly number[];
  /** Who wrote it. */
  readonly actors: readonly string[];
}

const ROW = 3;
/** In the place of a cell: the run is over. */
const THE_END = -1;

function writesOf(engine: Engine, scenario: Scenario): Writes {
  const { m } = engine.vm;
  const rows: number[] = [];
  const actors: string[] = [];
  const wrote = (cell: number, _: number, after: number): void => {
    rows.push(m.now, cell, after);
    actors.push(m.actors[m.current]?.name ?? 'nobody');
  };
  engine.run(scenario, { wrote, note: () => {} });
  wrote(THE_END, 0, 0);
  return { rows, actors };
}

/** Where two runs part, or null where they do not. */
function differenceOf(engine: Engine, before: Writes, now: Writes): string | null {
  const at = now.rows.findIndex((number, i) => number !== before.rows[i]);
  if (at < 0 || at >= before.rows.length) return null; // both have an end, so neither is a part of the other
  const write = Math.floor(at / ROW);
  const stepOf = ({ rows }: Writes): number => rows[write * ROW] ?? 0;
  const textOf = ({ rows }: Writes): string => {
    const [, cell = THE_END, after] = rows.slice(write * ROW);
    return cell === THE_END ? 'the end' : `${engine.vm.m.nameOf(cell)} = ${after}`;
  };
  const first = stepOf(before) < stepOf(now) ? before : now;
  return (
    `step ${stepOf(first)} (${first.actors[write]}): first ${textOf(before)} at step ${stepOf(before)}, ` +
    `then ${textOf(now)} at step ${stepOf(now)}`
  );
}
