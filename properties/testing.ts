/**
 * `sept-conformance/testing`: the rules as vitest tests of a policy in a project of its own.
 *
 *     import { conformance } from 'sept-conformance/testing';
 *     import policy from './my-policy.ts';
 *
 *     conformance(policy);
 *
 * The scenarios run once for each module version. Then each rule is a test with its statement as
 * the title. The test of a required rule fails when the rule was never exercised, unless the policy
 * states in `never` why it cannot be.
 */
import { beforeAll, describe, test, type TestContext } from 'vitest';
import {
  moduleFrom,
  policyFrom,
  POLICIES,
  type ModuleChanges,
  type PartialPolicy,
  type Breach,
  type Policy,
} from '../impl/index.ts';
import { moduleUnder } from '../impl/platform/platform.ts';
import { treeOf, treeSuffix, type Tree } from '../impl/vm/size.ts';
import { FAULTS } from '../spec/machine/faults.ts';
import type { RuleText } from '../spec/machine/rule.ts';
import {
  listsVersion,
  nameOf,
  NEWEST_VERSIONS,
  type ModuleVersion,
} from '../spec/tdx/versions/index.ts';
import { NotDeterministic, type CheckOptions, type Verdict } from './checker/check.ts';
import { checkForeign } from './checker/determinism.ts';
import { rulesFor } from './checker/engine.ts';
import { guardModule, guardOf, isGuarded, ModuleError, reasonOf } from './checker/module-guard.ts';
import { PolicyError } from './checker/run-errors.ts';
import { CORPUS } from './checker/scenarios/corpus.ts';
import type { Scenario } from './checker/scenarios/scenario.ts';
import { watchdog } from './checker/watchdog.ts';
import type { VmRule } from './rules/rule.ts';

/** Budget, seed and rules of {@link conformance}. @public @since 0.1.0 */
export interface ConformanceOptions extends Pick<CheckOptions, 'handle' | 'only'> {
  /** Versions of the TDX module, or modules from outside; the newest of each family when absent. */
  readonly modules?: readonly (ModuleVersion | ModuleChanges)[];
  /** The file of a module from outside, for the command that replays a scenario. */
  readonly moduleHandle?: string;
  /** The tree of page tables; three levels of tables of two entries when absent. */
  readonly tree?: Tree;
  readonly seed?: number;
  /** Scenarios for each module version. */
  readonly runs?: number;
  /** Milliseconds for each module version, whatever the runs. */
  readonly time?: number;
  /** Rules besides the shipped ones. */
  readonly properties?: readonly VmRule[];
  /** Only this scenario, which need not exercise every rule. */
  readonly scenario?: Scenario;
}

const DEFAULT_SEED = 1;
/** Enough to exercise every required rule. */
const RUNS = 1500;
/** A policy breaks the rules that it claims to break much sooner. */
const RUNS_OF_FAULTY = 500;
const UNLIMITED = 2 ** 31 - 1;

/**
 * Registers a test for each rule. A policy that names rules in `breaks` must break those, but
 * nothing is expected of a shipped policy on a module from outside: there each rule is a test.
 *
 * @since 0.1.0
 * @throws NoPolicy, NoModule
 * @public
 */
export function conformance(own: PartialPolicy, options: ConformanceOptions = {}): void {
  const ours = POLICIES.find((policy) => policy === own);
  const policy = ours ?? policyFrom(own);
  for (const given of options.modules ?? modulesFor(policy)) {
    const module = moduleIn(given, options);
    describe(`${policy.name}, module ${nameOf(module)}${treeSuffix(treeFor(options))}`, () =>
      registerFor(policy, module, options, ours !== undefined));
  }
}

/** Module versions that matter for a policy: any one for a policy that runs no TDs. */
const modulesFor = ({ vms }: Policy): readonly ModuleVersion[] =>
  vms.every((kind) => kind === 'vm') ? NEWEST_VERSIONS.slice(0, 1) : NEWEST_VERSIONS;

/** A shipped version, or a module from outside with its functions watched. */
function moduleIn(
  given: ModuleVersion | ModuleChanges,
  { moduleHandle }: ConformanceOptions,
): ModuleVersion {
  if (typeof given === 'string') return given;
  return isGuarded(given) ? given : guardModule(moduleFrom(given), moduleHandle);
}
/** The tree of the options, or of the one scenario. */
const treeFor = ({ scenario, tree = scenario?.tree }: ConformanceOptions): Tree => treeOf(tree);

/** The verdict of the scenarios, or the reason why there is none. */
type Outcome = { readonly verdict: Verdict } | { readonly refusal: string };

function registerFor(
  policy: Policy,
  module: ModuleVersion,
  options: ConformanceOptions,
  shipped: boolean,
): void {
  const shippedRules = policy.vms.flatMap((kind) => rulesFor(moduleUnder(policy, module), kind));
  const known = [...new Map(shippedRules.map((rule) => [rule.id, rule])).values()];
  const rules = [...known, ...(options.properties ?? [])].filter(({ id }) => isChosen(id, options));
  const absorbed = new Set(rules.flatMap(({ faults = [] }) => faults));
  const faults = FAULTS.filter(({ id }) => !absorbed.has(id) && isChosen(id, options));
  const expected = shipped && guardOf(module) !== undefined ? [] : policy.breaks;
  const breaches = expected.filter(
    ({ rule, versions }) => isChosen(rule, options) && listsVersion(versions ?? ['*'], module),
  );
  let outcome: Outcome = { refusal: 'no scenario has run' };
  const verdictOr = ({ skip }: TestContext): Verdict =>
    'verdict' in outcome ? outcome.verdict : skip('it cannot be judged');

  beforeAll(() => {
    const guard = shipped ? {} : { guard: watchdog() };
    outcome = outcomeOf({ ...settingsOf(options, breaches), ...guard, policy, module });
  }, NO_TIMEOUT);

  test('every yielded value is a step, and reruns are deterministic', () => {
    if ('refusal' in outcome) throw new Failure(outcome.refusal);
  });
  for (const { rule, why } of breaches) {
    test(`${rule} is broken, as the policy states: ${why}`, (context) => {
      if (!verdictOr(context).counterexamples.some(({ violation }) => violation.rule === rule)) {
        throw new Failure(`${rule} was not broken, though the policy states it in \`breaks\``);
      }
    });
  }
  if (breaches.length > 0) return;
  for (const rule of rules) {
    test(titleOf(rule), (context) => {
      const verdict = verdictOr(context);
      assertHeld(rule, verdict);
      if (verdict.exercised[rule.id] === 0) skipOrFail(rule, policy, verdict, options, context);
    });
  }
  for (const fault of faults)
    test(titleOf(fault), (context) => assertHeld(fault, verdictOr(context)));
}

const isChosen = (id: string, { only }: ConformanceOptions): boolean => only?.includes(id) ?? true;
const titleOf = ({ id, statement }: RuleText): string => `${id}: ${statement}`;

/** A run has its own budget. */
const NO_TIMEOUT = 0;

function settingsOf(
  options: ConformanceOptions,
  breaches: readonly Breach[],
): Omit<CheckOptions, 'policy' | 'module'> {
  const isFaulty = breaches.length > 0;
  const { properties, modules: _, time, runs, scenario, ...rest } = options;
  return {
    seed: DEFAULT_SEED,
    tree: treeFor(options),
    corpus: scenario === undefined ? CORPUS : [scenario],
    ...rest,
    // a faulty policy is checked for the rules that it claims to break, and for no others
    ...(isFaulty ? { only: breaches.map(({ rule }) => rule), stopAfter: breaches.length } : {}),
    runs:
      scenario !== undefined
        ? 1
        : (runs ?? (time !== undefined ? UNLIMITED : isFaulty ? RUNS_OF_FAULTY : RUNS)),
    ...(time === undefined ? {} : { timeLimit: time }),
    ...(properties === undefined ? {} : { extra: properties }),
  };
}

/** Errors that say that a policy, or a module, cannot be judged. */
const REFUSALS = [PolicyError, ModuleError, NotDeterministic];

function outcomeOf(options: CheckOptions): Outcome {
  try {
    const verdict = checkForeign(options);
    const { policy, module, scenarios, steps, seed } = verdict;
    console.log(
      `${policy}, module ${module}${treeSuffix(verdict.tree)}: ${verdict.verdict} ` +
        `(${scenarios} scenarios, ${steps} steps, seed ${seed})`,
    );
    return { verdict };
  } catch (error) {
    if (REFUSALS.some((refusal) => error instanceof refusal)) return { refusal: reasonOf(error) };
    throw error;
  }
}

/** Skips the test of a rule that was never exercised, or fails it. */
function skipOrFail(
  rule: RuleText,
  policy: Policy,
  { scenarios }: Verdict,
  { scenario }: ConformanceOptions,
  { skip }: TestContext,
): void {
  if (scenario !== undefined) skip('the scenario does not exercise the rule');
  if (rule.level === 'untested') skip(rule.reason);
  const never = policy.never?.find((one) => one.rule === rule.id);
  if (never !== undefined) skip(`not applicable: ${never.why}`);
  if (rule.level === 'stochastic') skip('not exercised, by chance');
  throw new Failure(
    `not exercised in ${scenarios} scenarios; ` +
      'give it more runs, or state in `never` why it cannot be',
  );
}

function assertHeld({ id }: RuleText, { counterexamples }: Verdict): void {
  const finding = counterexamples.find(({ violation }) => violation.rule === id);
  if (finding !== undefined) throw new Failure(finding.report.text);
}

/** A failed test. Its text is complete, so it has no stack. */
class Failure extends Error {
  override readonly name = 'Failure';

  constructor(text: string) {
    super(text);
    this.stack = '';
  }
}
