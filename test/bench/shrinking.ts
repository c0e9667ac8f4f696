/** Measures shrinking, and its results, on policies that are known to break a rule. */
import fc from 'fast-check';
import { mirrorNaive, rcuBranchFree, type Policy } from '../../impl/index.ts';
import { Engine } from '../../properties/checker/engine.ts';
import { ScenarioArbitrary } from '../../properties/checker/scenarios/arbitrary.ts';
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';
import { shrink } from '../../properties/checker/scenarios/shrink.ts';
import { TD_SHAPE } from '../../properties/checker/shapes.ts';
import { operationCount } from '../support/operation-count.ts';
import { median, timed } from './measure.ts';

export interface Shrinking {
  readonly policy: string;
  readonly rule: string;
  /** Medians over the seeds. */
  readonly foundAfter: number;
  readonly executions: number;
  readonly milliseconds: number;
  /** Operations before and after. */
  readonly from: number;
  readonly to: number;
}

const MAX_RUNS = 20_000;

export async function shrinkings(seeds: number): Promise<Shrinking[]> {
  const all: Shrinking[] = [];
  for (const policy of [mirrorNaive, rcuBranchFree]) all.push(await shrinking(policy, seeds));
  return all;
}

async function shrinking(policy: Policy, seeds: number): Promise<Shrinking> {
  const rule = policy.breaks[0]?.rule ?? '';
  const engine = new Engine({ policy, module: '1.5' });
  const fails = (scenario: Scenario): boolean => engine.run(scenario)?.rule === rule;
  const samples: {
    foundAfter: number;
    executions: number;
    milliseconds: number;
    from: number;
    to: number;
  }[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const { counterexample, numRuns } = fc.check(
      fc.property(new ScenarioArbitrary(TD_SHAPE), (scenario) => !fails(scenario)),
      { seed, numRuns: MAX_RUNS, endOnFailure: true },
    );
    if (counterexample === null)
      throw new Error(`${policy.name} broke no rule in ${MAX_RUNS} scenarios`);
    const [scenario] = counterexample;
    const { seconds, work } = await timed(() => shrink(scenario, fails));
    samples.push({
      foundAfter: numRuns,
      executions: work.executions,
      milliseconds: seconds * 1000,
      from: operationCount(scenario),
      to: operationCount(work.scenario),
    });
  }
  const middle = (of: (sample: (typeof samples)[number]) => number): number =>
    median(samples.map(of));
  return {
    policy: policy.name,
    rule,
    foundAfter: middle((s) => s.foundAfter),
    executions: middle((s) => s.executions),
    milliseconds: middle((s) => s.milliseconds),
    from: middle((s) => s.from),
    to: middle((s) => s.to),
  };
}
