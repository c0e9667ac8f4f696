/**
 * The knobs of `npm test`: the same as the command line's, as environment variables. Without any, the tests run on
 * fixed seeds with the default budget.
 */
import { policyNamed, type ChosenPolicy } from '../../cli/policies.ts';
import { parseDuration } from '../../cli/knobs.ts';
import { rulesNamed, type ChosenRules } from '../../cli/rules.ts';
import { POLICIES } from '../../impl/index.ts';
import type { History } from '../../properties/histories/history.ts';
import { parseHistory } from '../../properties/histories/text.ts';
import { MODULE_VERSIONS, type ModuleVersion } from '../../spec/tdx/versions.ts';

const { env } = process;

const wholeOf = (name: string): number | undefined => {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${name}=${text}: give a whole number`);
  return Number(text);
};

const listOf = (name: string): string[] | undefined => {
  const items = env[name]?.split(',').map((item) => item.trim()).filter((item) => item !== '');
  return items === undefined || items.length === 0 ? undefined : items;
};

function modules(): readonly ModuleVersion[] {
  const wanted = listOf('SEPT_MODULE');
  if (wanted === undefined) return MODULE_VERSIONS;
  const chosen = MODULE_VERSIONS.filter((version) => wanted.includes(version));
  if (chosen.length < wanted.length) throw new Error(`SEPT_MODULE=${wanted.join(',')}: there are ${MODULE_VERSIONS.join(', ')}`);
  return chosen;
}

export interface TestKnobs {
  readonly policies: readonly ChosenPolicy[];
  readonly rules: ChosenRules;
  readonly modules: readonly ModuleVersion[];
  readonly seed: number;
  readonly runs: number | undefined;
  /** Milliseconds. */
  readonly time: number | undefined;
  /** Only this history, instead of random ones. */
  readonly history: History | undefined;
}

const DEFAULT_SEED = 1;

/** What the environment asks for. */
export async function testKnobs(): Promise<TestKnobs> {
  const policies = listOf('SEPT_POLICY') ?? POLICIES.map((policy) => policy.name);
  const history = env['SEPT_HISTORY'];
  return {
    policies: await Promise.all(policies.map(policyNamed)),
    rules: await rulesNamed(listOf('SEPT_PROPERTY')),
    modules: modules(),
    seed: wholeOf('SEPT_SEED') ?? DEFAULT_SEED,
    runs: wholeOf('SEPT_RUNS'),
    time: env['SEPT_TIME'] === undefined ? undefined : parseDuration(env['SEPT_TIME']),
    history: history === undefined || history === '' ? undefined : parseHistory(history),
  };
}
