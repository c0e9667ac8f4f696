/**
 * Checks that a run is a function of its scenario. A policy or a module that keeps state between
 * runs can pass by chance, and its failures cannot be replayed. So scenarios run twice on one VM,
 * the second time in the opposite order, and the second run has to repeat every write of the
 * first.
 */
import fc from 'fast-check';
import { DEFAULT_TREE } from '../../impl/vm/size.ts';
import { check, corpusFor, NotDeterministic, type CheckOptions, type Verdict } from './check.ts';
import { Engine, type EngineOptions } from './engine.ts';
import { guardOf } from './module-guard.ts';
import { subjectOf } from './run-errors.ts';
import { ScenarioArbitrary } from './scenarios/arbitrary.ts';
import { CORPUS } from './scenarios/corpus.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { formatScenario } from './scenarios/text.ts';
import { shapesOf } from './shapes.ts';

/** Number of random scenarios that run twice, besides the corpus: a fraction of a second. */
const SAMPLE = 200;

/**
 * {@link check} for a policy or a module from outside the package. If it fails, its counterexamples
 * have been confirmed already; otherwise its runs are compared.
 *
 * @throws NotDeterministic, PolicyError
 */
export function checkForeign(options: CheckOptions): Verdict {
  const verdict = check(options);
  const { policy, tree = DEFAULT_TREE } = options;
  const shapes = options.shapes ?? shapesOf(policy, tree);
  const random = fc.sample(new ScenarioArbitrary(...shapes), {
    seed: options.seed,
    numRuns: SAMPLE,
  });
  if (verdict.counterexamples.length === 0) {
    assertDeterministic(options, [...corpusFor(policy, CORPUS, tree), ...random]);
  }
  return verdict;
}

/** Runs each scenario twice. @throws NotDeterministic at the first write that differs */
function assertDeterministic(
  { policy, module, tree = DEFAULT_TREE, guard }: EngineOptions,
  scenarios: readonly Scenario[],
): void {
  const options = { policy, module, tree, ...(guard === undefined ? {} : { guard }), rules: false };
  const stateful = guardOf(module) === undefined ? 'a policy' : 'a policy or a module';
  const engines = new Map(policy.vms.map((kind) => [kind, new Engine({ ...options, kind })]));
  const runs = scenarios.map((scenario) => {
    const engine = engines.get(scenario.vm) as Engine; // one for each kind
    return { scenario, engine, first: writesOf(engine, scenario) };
  });
  for (const { scenario, engine, first } of runs.toReversed()) {
    const difference = differenceOf(engine, first, writesOf(engine, scenario));
    if (difference === null) continue;
    throw new NotDeterministic(
      `${subjectOf(policy, module)} is not deterministic: ` +
        `two runs of '${formatScenario(scenario)}' differ at ${difference}; ` +
        `${stateful} must not keep state between runs`,
    );
  }
}

/** The writes of a run, in order, as numbers: a run has many. */
interface Writes {
  /** For each write the step, the cell and its new value. */
  readonly rows: readonly number[];
  /** For each write the actor. */
  readonly actors: readonly string[];
}

const ROW = 3;
/** Takes the place of a cell at the end of the run. */
const THE_END = -1;

function writesOf(engine: Engine, scenario: Scenario): Writes {
  const { m } = engine.vm;
  const rows: number[] = [];
  const actors: string[] = [];
  const wrote = (cell: number, _: number, after: number): void => {
    rows.push(m.now, cell, after);
    actors.push(m.actors[m.current]?.name ?? 'no actor');
  };
  engine.run(scenario, { wrote, note: () => {} });
  wrote(THE_END, 0, 0);
  return { rows, actors };
}

/** The first difference between two runs, or null. */
function differenceOf(engine: Engine, first: Writes, second: Writes): string | null {
  const at = second.rows.findIndex((number, i) => number !== first.rows[i]);
  // both runs have an end, so neither is a prefix of the other
  if (at < 0 || at >= first.rows.length) return null;
  const write = Math.floor(at / ROW);
  const stepOf = ({ rows }: Writes): number => rows[write * ROW] ?? 0;
  const textOf = ({ rows }: Writes): string => {
    const [, cell = THE_END, after] = rows.slice(write * ROW);
    return cell === THE_END ? 'the end' : `${engine.vm.m.nameOf(cell)} = ${after}`;
  };
  const earlier = stepOf(first) < stepOf(second) ? first : second;
  return (
    `step ${stepOf(earlier)} (${earlier.actors[write]}): ` +
    `first ${textOf(first)} at step ${stepOf(first)}, ` +
    `then ${textOf(second)} at step ${stepOf(second)}`
  );
}
