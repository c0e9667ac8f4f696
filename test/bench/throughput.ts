/** Measures this engine on the shipped policies that break no rule, and how it draws scenarios. */
import fc from 'fast-check';
import { POLICIES } from '../../impl/index.ts';
import type { Policy } from '../../impl/vm/policy.ts';
import { Engine } from '../../properties/checker/engine.ts';
import { ScenarioArbitrary } from '../../properties/checker/scenarios/arbitrary.ts';
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';
import { shapesOf, TD_SHAPE } from '../../properties/checker/shapes.ts';
import type { Contender } from './measure.ts';
import { checked } from './target.ts';

const SCENARIOS = 250;
const SEED = 7;

/** With and without the rules, with and without the end of the VM. A unit is one scenario. */
export function throughputContenders(): Contender[] {
  const policies = POLICIES.filter(({ breaks }) => breaks.length === 0);
  const scenarios = policies.map(scenariosFor);
  const contender = (name: string, rules: boolean, teardown: boolean): Contender => {
    const engines = policies.map(
      (policy) => new Engine({ policy, module: '1.5', rules, teardown }),
    );
    let next = 0;
    return {
      name,
      run: (amount) => {
        let steps = 0;
        for (let i = 0; i < amount; i++, next++) {
          const engine = engines[next % engines.length];
          const scenario =
            scenarios[next % engines.length]?.[Math.floor(next / engines.length) % SCENARIOS];
          if (engine === undefined || scenario === undefined)
            throw new Error('there is nothing to run');
          const before = engine.steps;
          const violation = engine.run(scenario);
          if (violation !== null) throw new Error(`the bench broke ${violation.rule}`);
          steps += engine.steps - before;
        }
        return { steps };
      },
    };
  };
  return [
    contender(RULES_ON, true, true),
    contender(RULES_OFF, false, true),
    contender('rules on, the VM is not destroyed', true, false),
    contender('rules off, the VM is not destroyed', false, false),
  ];
}

/** The scenarios for a policy's first kind of VM. */
const scenariosFor = (policy: Policy): Scenario[] =>
  fc.sample(new ScenarioArbitrary(...shapesOf(policy).filter(({ vm }) => vm === policy.vms[0])), {
    numRuns: SCENARIOS,
    seed: SEED,
  });

export const RULES_ON = 'rules on';
export const RULES_OFF = 'rules off';

/** Draws scenarios as `sept check` does, and runs none. */
export const generationContender = (): Contender => ({
  name: 'drawing scenarios',
  run: (amount, seed) =>
    checked(amount, seed, () =>
      fc.property(new ScenarioArbitrary(TD_SHAPE), (scenario) => scenario.actors.length > 0),
    ),
});
