/**
 * Checks a policy: runs random scenarios for a budget, each judged by every rule, and shrinks what
 * fails. The shrunk scenario is run twice more, to confirm that it fails the same way.
 */
import fc from 'fast-check';
import type { Policy } from '../../impl/vm/policy.ts';
import { DEFAULT_TREE, treeOf, type Tree } from '../../impl/vm/size.ts';
import { FAULTS } from '../../spec/machine/faults.ts';
import type { RuleText, Violation } from '../../spec/machine/rule.ts';
import { nameOf } from '../../spec/tdx/versions/index.ts';
import { Engine, rulesFor, type EngineOptions } from './engine.ts';
import { Engines } from './engines.ts';
import { handleOf } from './module-guard.ts';
import { report, type Report } from './reports/report.ts';
import { timelineOf } from './reports/timeline.ts';
import { subjectOf } from './run-errors.ts';
import { ScenarioArbitrary, type Shape } from './scenarios/arbitrary.ts';
import { inTree, vmOf, type Scenario } from './scenarios/scenario.ts';
import { shrink } from './scenarios/shrink.ts';
import { formatScenario } from './scenarios/text.ts';
import { shapesOf } from './shapes.ts';

/** Options of {@link check}. */
export interface CheckOptions extends Pick<
  EngineOptions,
  'policy' | 'module' | 'tree' | 'only' | 'extra' | 'guard'
> {
  readonly seed: number;
  readonly runs: number;
  /** Time limit in milliseconds, whatever the runs; none when absent. */
  readonly timeLimit?: number;
  /** Scenarios to run, and to shrink to; any when absent. */
  readonly within?: (scenario: Scenario) => boolean;
  /** Shapes of the random scenarios; those of the policy's kinds of VM when absent. */
  readonly shapes?: readonly Shape[];
  /** Scenarios that run before the random ones. */
  readonly corpus?: readonly Scenario[];
  /** Number of broken rules at which the check stops. */
  readonly stopAfter?: number;
  /** The policy's name in the replay command. */
  readonly handle?: string;
}

/** A scenario, shrunk and confirmed, in which a policy breaks a rule. */
export interface Counterexample {
  readonly violation: Violation;
  readonly scenario: Scenario;
  readonly text: string;
  /** Number of scenarios run until it was found. */
  readonly foundAfter: number;
  readonly shrinkExecutions: number;
  readonly report: Report;
}

/** Result of {@link check}. */
export interface Verdict {
  readonly policy: string;
  /** The module's name. */
  readonly module: string;
  readonly tree: Tree;
  /** `inconclusive`: no rule was broken, but a required rule was never exercised. */
  readonly verdict: 'passes' | 'fails' | 'inconclusive';
  readonly scenarios: number;
  readonly steps: number;
  readonly seed: number;
  readonly counterexamples: readonly Counterexample[];
  /** The scenario that took the most steps. */
  readonly longest: Scenario;
  /** Times that each rule was exercised. */
  readonly exercised: Readonly<Record<string, number>>;
  /** Required rules that were never exercised, though the policy can meet their premise. */
  readonly unexercised: readonly string[];
  /** Required rules whose premise the policy never meets. */
  readonly notApplicable: readonly string[];
}

/** A policy whose runs are not functions of the scenario. */
export class NotDeterministic extends Error {
  override readonly name = 'NotDeterministic';
}

/** The scenarios of a corpus for the VMs that a policy runs, on VMs with the tree. */
export const corpusFor = ({ vms }: Policy, corpus: readonly Scenario[], tree: Tree): Scenario[] =>
  corpus.filter(({ vm }) => vms.includes(vm)).map((scenario) => inTree(scenario, tree));

/** Checks a policy. @throws NotDeterministic, PolicyError, UnusableScenario, UnusableTree */
export function check(options: CheckOptions): Verdict {
  const tree = treeOf(options.tree);
  const engines = new Engines(options);
  const search = new Search(options, engines);
  search.run();
  const { rules } = engines;
  const exercised = Object.fromEntries(
    rules.map((rule) => [rule.id, engines.timesExercised(rule.id)]),
  );
  const idle = rules
    .filter((rule) => rule.level === 'required' && exercised[rule.id] === 0)
    .map((rule) => rule.id);
  const never = new Set(options.policy.never?.map(({ rule }) => rule));
  const unexercised = idle.filter((id) => !never.has(id));
  const counterexamples = [...search.failures].map(([rule, failure]) =>
    counterexample(options, engines, rule, failure),
  );
  return {
    policy: options.policy.name,
    module: nameOf(options.module),
    tree,
    verdict:
      counterexamples.length > 0 ? 'fails' : unexercised.length > 0 ? 'inconclusive' : 'passes',
    scenarios: search.scenarios,
    steps: engines.steps,
    seed: options.seed,
    counterexamples,
    longest: search.longest,
    exercised,
    unexercised,
    notApplicable: idle.filter((id) => never.has(id)),
  };
}

/** The first scenario that broke a rule. */
interface Failure {
  readonly scenario: Scenario;
  readonly foundAfter: number;
}

/** Runs the corpus, then random scenarios, until the budget ends or enough rules are broken. */
class Search {
  /** By rule, in the order in which the rules were first broken. */
  readonly failures = new Map<string, Failure>();
  scenarios = 0;
  /** The scenario that took the most steps. */
  longest: Scenario;
  private mostSteps = 0;
  private error: unknown = null;
  private readonly options: CheckOptions;
  private readonly engines: Engines;

  constructor(options: CheckOptions, engines: Engines) {
    this.options = options;
    this.engines = engines;
    const { policy, tree = DEFAULT_TREE } = options;
    this.longest = inTree({ vm: policy.vms[0] ?? 'td', actors: [], deviations: [] }, tree);
  }

  run(): void {
    const { corpus = [], policy, tree = DEFAULT_TREE, seed, runs, timeLimit } = this.options;
    const { shapes = shapesOf(policy, tree) } = this.options;
    const goesOn = corpusFor(policy, corpus, tree).every(this.judge);
    if (goesOn) {
      fc.check(fc.property(new ScenarioArbitrary(...shapes), this.judge), {
        seed,
        numRuns: runs,
        endOnFailure: true,
        ...(timeLimit === undefined ? {} : { interruptAfterTimeLimit: timeLimit }),
      });
    }
    if (this.error !== null) throw this.error;
  }

  /** Runs one scenario. False ends the search. */
  private readonly judge = (scenario: Scenario): boolean => {
    const { only, stopAfter = Infinity, within } = this.options;
    if (within?.(scenario) === false) return true;
    this.scenarios++;
    const before = this.engines.steps;
    let violation: Violation | null;
    try {
      violation = this.engines.run(scenario);
    } catch (error) {
      this.error = error; // fast-check would take it for a counterexample
      return false;
    }
    this.noteLength(scenario, this.engines.steps - before);
    // faults of the machine are always seen: they count only if they were asked for
    if (violation !== null && only?.includes(violation.rule) === false) return true;
    if (violation !== null && !this.failures.has(violation.rule))
      this.failures.set(violation.rule, { scenario, foundAfter: this.scenarios });
    return this.failures.size < stopAfter;
  };

  private noteLength(scenario: Scenario, steps: number): void {
    if (steps <= this.mostSteps) return;
    this.mostSteps = steps;
    this.longest = scenario;
  }
}

/** Shrinks a failing scenario, confirms the result and reports it. */
function counterexample(
  options: CheckOptions,
  engines: Engines,
  rule: string,
  { scenario, foundAfter }: Failure,
): Counterexample {
  const { within } = options;
  const shrunk = shrink(
    scenario,
    (candidate) => within?.(candidate) !== false && engines.run(candidate)?.rule === rule,
  );
  const violation = confirm(options, shrunk.scenario, rule);
  return {
    violation,
    scenario: shrunk.scenario,
    text: formatScenario(shrunk.scenario),
    foundAfter,
    shrinkExecutions: shrunk.executions,
    report: explain(options, shrunk.scenario, violation),
  };
}

/**
 * Runs a scenario twice more, each time on a new VM. @throws NotDeterministic unless both runs end
 * in the same violation of `rule`
 */
function confirm(options: EngineOptions, scenario: Scenario, rule: string): Violation {
  const runAgain = (): Violation | null =>
    new Engine({ ...options, ...vmOf(scenario) }).run(scenario);
  const [first, second] = [runAgain(), runAgain()];
  if (first !== null && first.rule === rule && JSON.stringify(first) === JSON.stringify(second))
    return first;
  const [firstly, secondly] = [first, second].map((violation) =>
    violation === null ? 'no rule' : `${violation.rule} at step ${violation.step}`,
  );
  throw new NotDeterministic(
    `${subjectOf(options.policy, options.module)} is not deterministic: ` +
      `scenario '${formatScenario(scenario)}' ` +
      `broke ${rule}; run twice more, it broke ${firstly}, then ${secondly}`,
  );
}

/** Reports a violation. */
export function explain(
  options: CheckOptions | ExplainOptions,
  scenario: Scenario,
  violation: Violation,
): Report {
  const handle =
    'handle' in options && options.handle !== undefined ? options.handle : options.policy.name;
  const replayed = `${handle} --module ${handleOf(options.module)}`;
  const command = `sept show ${replayed} '${formatScenario(scenario)}'`;
  const rules = [...rulesFor(options.module), ...(options.extra ?? [])];
  return report(ruleOf(rules, violation.rule), timelineOf(options, scenario), scenario, command);
}

/** Options of {@link explain}. */
export type ExplainOptions = EngineOptions & { readonly handle?: string };

/** The text of a rule, or of a fault of the machine. */
function ruleOf(rules: readonly RuleText[], id: string): RuleText {
  const known = [...rules, ...FAULTS].find((rule) => rule.id === id);
  if (known === undefined) throw new Error(`a run broke ${id}, which is not a rule`);
  return known;
}
