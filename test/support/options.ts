/**
 * Options of `npm test`: those of the command line, as environment variables. Without any, the
 * tests run on fixed seeds with the default budget.
 */
import { moduleNamed } from '../../cli/module-names.ts';
import { parseDuration } from '../../cli/options.ts';
import { policyNamed, type ChosenPolicy } from '../../cli/policy-names.ts';
import { rulesNamed, type ChosenRules } from '../../cli/rule-names.ts';
import { POLICIES } from '../../impl/index.ts';
import { treeOf, type Tree } from '../../impl/vm/size.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import type { ConformanceOptions } from '../../properties/testing.ts';
import type { ModuleVersion } from '../../spec/tdx/versions/index.ts';

/**
 * The text of the first of some variables that is set. `SEPT_` before a name is an alternative, for
 * a name that already means something else.
 */
function textOf(...names: readonly string[]): string | undefined {
  const text = names
    .flatMap((name) => [process.env[`SEPT_${name}`], process.env[name]])
    .find((value) => value !== undefined);
  return text === '' ? undefined : text;
}

const wholeOf = (name: string): number | undefined => {
  const text = textOf(name);
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${name}=${text}: expected a whole number`);
  return Number(text);
};

const listOf = (name: string): string[] | undefined => {
  const items = textOf(name)
    ?.split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  return items === undefined || items.length === 0 ? undefined : items;
};

async function modules(): Promise<readonly ModuleVersion[] | undefined> {
  const wanted = listOf('MODULE');
  return wanted === undefined ? undefined : await Promise.all(wanted.map(moduleNamed));
}

function tree(): Tree | undefined {
  const own = defined({ levels: wholeOf('LEVELS'), fanout: wholeOf('FANOUT') });
  return Object.keys(own).length === 0 ? undefined : treeOf(own);
}

export interface TestOptions extends Pick<
  ConformanceOptions,
  'modules' | 'tree' | 'seed' | 'runs' | 'time' | 'scenario'
> {
  readonly policies: readonly ChosenPolicy[];
  readonly rules: ChosenRules;
}

/** Reads the options from the environment. */
export async function testOptions(): Promise<TestOptions> {
  const policies = listOf('POLICY') ?? POLICIES.map((policy) => policy.name);
  const [time, scenario] = [textOf('TIME'), textOf('SCENARIO', 'HISTORY')];
  return {
    policies: await Promise.all(policies.map(policyNamed)),
    rules: await rulesNamed(listOf('PROPERTY')),
    ...defined({
      modules: await modules(),
      tree: tree(),
      seed: wholeOf('SEED'),
      runs: wholeOf('RUNS'),
      time: time === undefined ? undefined : parseDuration(time),
      scenario: scenario === undefined ? undefined : parseScenario(scenario),
    }),
  };
}

/** Returns the members that are defined. */
const defined = <T extends object>(members: { [K in keyof T]: T[K] | undefined }): Partial<T> =>
  Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined),
  ) as Partial<T>; // Object.fromEntries forgets the names
