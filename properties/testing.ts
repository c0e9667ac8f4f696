/**
 * `sept-conformance/testing`: the rules as tests of vitest, for a policy of yours in a project of
 * yours.
 *
 *     import { conformance } from 'sept-conformance/testing';
 *     import policy from './my-policy.ts';
 *
 *     conformance(policy);
 *
 * The scenarios are run once for a module version; then each rule is a test, whose title is what
 * the rule says. A rule that was never put to the test fails its own, unless the policy says in
 * `never` why it cannot be.
 */
import { beforeAll, describe, test, type TestContext } from 'vitest';
import {
  policyFrom,
  POLICIES,
  type PartialPolicy,
  type Breach,
  type Policy,
} from '../impl/index.ts';
import { FAULTS } from '../spec/machine/faults.ts';
import type { RuleText } from '../spec/machine/rule.ts';
import { MODULE_VERSIONS, type ModuleVersion } from '../spec/tdx/versions.ts';
import { NotDeterministic, type CheckOptions, type Verdict } from './checker/check.ts';
import { checkForeign } from './checker/determinism.ts';
import { PolicyError, rulesFor } from './checker/engine.ts';
import { CORPUS } from './checker/scenarios/corpus.ts';
import type { Scenario } from './checker/scenarios/scenario.ts';
import { watchdog } from './checker/watchdog.ts';
import type { VmRule } from './rules/rule.ts';

/** Budget, seed and rules of {@link conformance}. @public @since 0.1.0 */
export interface ConformanceOptions extends Pick<CheckOptions, 'handle' | 'only'> {
  /** Versions of the TDX module; all that are specified when absent. */
  readonly modules?: readonly ModuleVersion[];
  readonly seed?: number;
  /** Scenarios for each module version. */
  readonly runs?: number;
  /** Milliseconds for each module version, whatever the runs. */
  readonly time?: number;
  /** Rules besides the shipped ones. */
  readonly properties?: readonly VmRule[];
  /** Only this scenario; it need not put every rule to the test. */
  readonly scenario?: Scenario;
}

const DEFAULT_SEED = 1;
/**
 * Enough to put every required rule to the test; a policy that claims to break one falls much
 * sooner.
 */
const RUNS = 1500;
const RUNS_OF_FAULTY = 500;
const UNLIMITED = 2 ** 31 - 1;

/**
 * Registers a test for each rule. A policy that names rules in `breaks` must break those.
 *
 * @since 0.1.0
 * @throws NoPolicy
 * @public
 */
export function conformance(own: PartialPolicy, options: ConformanceOptions = {}): void {
  const ours = POLICIES.find((policy) => policy === own);
  const policy = ours ?? policyFrom(own);
  for (const module of options.modules ?? modulesFor(policy)) {
    describe(`${policy.name}, module ${module}`, () =>
      registerFor(policy, module, options, ours !== undefined));
  }
}

/** The module versions that a policy can be told apart by: for one that runs no TDs any will do. */
const modulesFor = ({ vms }: Policy): readonly ModuleVersion[] =>
  vms.every((kind) => kind === 'vm') ? MODULE_VERSIONS.slice(0, 1) : MODULE_VERSIONS;

/** What the scenarios came to: a verdict, or why there can be none. */
type Outcome = { readonly verdict: Verdict } | { readonly refusal: string };

function registerFor(
  policy: Policy,
  module: ModuleVersion,
  options: ConformanceOptions,
  shipped: boolean,
): void {
  const shippedRules = policy.vms.flatMap((kind) => rulesFor(module, kind));
  const known = [...new Map(shippedRules.map((rule) => [rule.id, rule])).values()];
  const rules = [...known, ...(options.properties ?? [])].filter(({ id }) => isChosen(id, options));
  const absorbed = new Set(rules.flatMap(({ faults = [] }) => faults));
  const faults = FAULTS.filter(({ id }) => !absorbed.has(id) && isChosen(id, options));
  const breaches = policy.breaks.filter(
    ({ rule, versions }) => isChosen(rule, options) && (versions?.includes(module) ?? true),
  );
  let outcome: Outcome = { refusal: 'no scenario was run' };
  const verdictOr = ({ skip }: TestContext): Verdict =>
    'verdict' in outcome ? outcome.verdict : skip('the policy could not be judged');

  beforeAll(() => {
    const guard = shipped ? {} : { guard: watchdog() };
    outcome = outcomeOf({ ...settingsOf(options, breaches), ...guard, policy, module });
  }, NO_TIMEOUT);

  test('every step of it is one, and a scenario that is run again goes the same way', () => {
    if ('refusal' in outcome) throw new Failure(outcome.refusal);
  });
  for (const { rule, why } of breaches) {
    test(`${rule} catches it: ${why}`, (context) => {
      if (!verdictOr(context).counterexamples.some(({ violation }) => violation.rule === rule)) {
        throw new Failure(`${rule} was not broken, though the policy says so in \`breaks\``);
      }
    });
  }
  if (breaches.length > 0) return;
  for (const rule of rules) {
    test(titleOf(rule), (context) => {
      const verdict = verdictOr(context);
      assertHeld(rule, verdict);
      if (verdict.exercised[rule.id] === 0) unexercised(rule, policy, verdict, options, context);
    });
  }
  for (const fault of faults)
    test(titleOf(fault), (context) => assertHeld(fault, verdictOr(context)));
}

const isChosen = (id: string, { only }: ConformanceOptions): boolean => only?.includes(id) ?? true;
const titleOf = ({ id, statement }: RuleText): string => `${id}: ${statement}`;

/** The run takes as long as it takes. */
const NO_TIMEOUT = 0;

function settingsOf(
  options: ConformanceOptions,
  breaches: readonly Breach[],
): Omit<CheckOptions, 'policy' | 'module'> {
  const isFaulty = breaches.length > 0;
  const { properties, modules: _, time, runs, scenario, ...rest } = options;
  return {
    seed: DEFAULT_SEED,
    corpus: scenario === undefined ? CORPUS : [scenario],
    ...rest,
    // a faulty policy is held to what its header says, whatever else it would break before that, and to no more
    ...(isFaulty ? { only: breaches.map(({ rule }) => rule), stopAfter: breaches.length } : {}),
    runs:
      scenario !== undefined
        ? 1
        : (runs ?? (time !== undefined ? UNLIMITED : isFaulty ? RUNS_OF_FAULTY : RUNS)),
    ...(time === undefined ? {} : { timeLimit: time }),
    ...(properties === undefined ? {} : { extra: properties }),
  };
}

function outcomeOf(options: CheckOptions): Outcome {
  try {
    const verdict = checkForeign(options);
    const { policy, module, scenarios, steps, seed } = verdict;
    console.log(
      `${policy}, module ${module}: ${verdict.verdict} (${scenarios} scenarios, ${steps} steps, seed ${seed})`,
    );
    return { verdict };
  } catch (error) {
    if (error instanceof PolicyError || error instanceof NotDeterministic)
      return { refusal: error.message };
    throw error;
  }
}

/** A rule that was never put to the test: it need not be, or it ought to have been. */
function unexercised(
  rule: RuleText,
  policy: Policy,
  { scenarios }: Verdict,
  { scenario }: ConformanceOptions,
  { skip }: TestContext,
): void {
  if (scenario !== undefined) skip('this scenario does not put it to the test');
  if (rule.level === 'untested') skip(rule.reason);
  const never = policy.never?.find((one) => one.rule === rule.id);
  if (never !== undefined) skip(`not applicable: ${never.why}`);
  if (rule.level === 'stochastic') skip('by chance it was not put to the test');
  throw new Failure(
    `never put to the test in ${scenarios} scenarios; give it more runs, or say in \`never\` why it cannot be`,
  );
}

function assertHeld({ id }: RuleText, { counterexamples }: Verdict): void {
  const finding = counterexamples.find(({ violation }) => violation.rule === id);
  if (finding !== undefined) throw new Failure(finding.report.text);
}

/** What a test reports: the text is all there is to it, so no stack goes with it. */
class Failure extends Error {
  override readonly name = 'Failure';

  constructor(text: string) {
    super(text);
    this.stack = '';
  }
}
