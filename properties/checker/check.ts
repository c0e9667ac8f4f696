/**
 * Checking a policy: random scenarios for a budget, each judged by every rule; what fails is
 * shrunk, executed again to make sure that it fails the same way, and reported.
 */
import fc from 'fast-check';
import { FAULTS } from '../../spec/machine/faults.ts';
import type { RuleText, Violation } from '../../spec/machine/rule.ts';
import type { ModuleVersion } from '../../spec/tdx/versions.ts';
import { Engine, rulesFor, type EngineOptions } from './engine.ts';
import { Engines } from './engines.ts';
import { report, type Report } from './reports/report.ts';
import { timelineOf } from './reports/timeline.ts';
import { ScenarioArbitrary, type Shape } from './scenarios/arbitrary.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { shrink } from './scenarios/shrink.ts';
import { formatScenario } from './scenarios/text.ts';
import { shapesOf } from './shapes.ts';

/** Options of {@link check}. */
export interface CheckOptions extends Pick<
  EngineOptions,
  'policy' | 'module' | 'only' | 'extra' | 'guard'
> {
  readonly seed: number;
  readonly runs: number;
  /** Stop at this many milliseconds, whatever the runs; none when absent. */
  readonly timeLimit?: number;
  /** What scenarios are drawn from; those of the policy's kinds of VM when absent. */
  readonly shapes?: readonly Shape[];
  /** Scenarios that are run before the random ones: what was ever found. */
  readonly corpus?: readonly Scenario[];
  /** Stop when so many rules are broken. */
  readonly stopAfter?: number;
  /** How the policy is named in the replay command. */
  readonly handle?: string;
}

/** A scenario, shrunk and confirmed, in which a policy breaks a rule. */
export interface Counterexample {
  readonly violation: Violation;
  readonly scenario: Scenario;
  readonly text: string;
  /** Scenarios run until it was found. */
  readonly foundAfter: number;
  readonly shrinkExecutions: number;
  readonly report: Report;
}

/** Result of {@link check}. */
export interface Verdict {
  readonly policy: string;
  readonly module: ModuleVersion;
  /** `inconclusive`: no rule was broken, but a required one was never put to the test. */
  readonly verdict: 'passes' | 'fails' | 'inconclusive';
  readonly scenarios: number;
  readonly steps: number;
  readonly seed: number;
  readonly counterexamples: readonly Counterexample[];
  /** The scenario that took the most steps. */
  readonly longest: Scenario;
  readonly exercised: Readonly<Record<string, number>>;
  readonly unexercised: readonly string[];
  /** Required rules whose premise the policy never meets. */
  readonly notApplicable: readonly string[];
}

/** A policy whose runs are not functions of the scenario. */
export class NotDeterministic extends Error {
  override readonly name = 'NotDeterministic';
}

/** Runs scenarios on a policy, and shrinks those that break a rule. */
export function check(options: CheckOptions): Verdict {
  const engines = new Engines(options);
  const found = new Map<string, { scenario: Scenario; foundAfter: number }>();
  const { stopAfter = Infinity } = options;
  let scenarios = 0;
  let longest: Scenario = { vm: options.policy.vms[0] ?? 'td', actors: [], deviations: [] };
  let most = 0;
  let thrown: unknown = null;
  const judge = (scenario: Scenario): boolean => {
    scenarios++;
    const before = engines.steps;
    let violation: Violation | null;
    try {
      violation = engines.run(scenario);
    } catch (error) {
      thrown = error; // fast-check would take it for a counterexample
      return false;
    }
    if (engines.steps - before > most) {
      most = engines.steps - before;
      longest = scenario;
    }
    // faults of the machine are always seen; whoever asks for certain rules asks for nothing else
    if (violation !== null && options.only?.includes(violation.rule) === false) return true;
    if (violation !== null && !found.has(violation.rule))
      found.set(violation.rule, { scenario, foundAfter: scenarios });
    return found.size < stopAfter;
  };
  const goOn = (options.corpus ?? [])
    .filter(({ vm }) => options.policy.vms.includes(vm))
    .every(judge);
  if (goOn)
    fc.check(
      fc.property(new ScenarioArbitrary(...(options.shapes ?? shapesOf(options.policy))), judge),
      {
        seed: options.seed,
        numRuns: options.runs,
        endOnFailure: true,
        ...(options.timeLimit === undefined ? {} : { interruptAfterTimeLimit: options.timeLimit }),
      },
    );
  if (thrown !== null) throw thrown;
  const { rules } = engines;
  const exercised = Object.fromEntries(
    rules.map((rule) => [rule.id, engines.timesExercised(rule.id)]),
  );
  const idle = rules
    .filter((r) => r.level === 'required' && exercised[r.id] === 0)
    .map((r) => r.id);
  const never = new Set(options.policy.never?.map(({ rule }) => rule));
  const unexercised = idle.filter((id) => !never.has(id));
  const counterexamples = [...found].map(([rule, { scenario, foundAfter: after }]) =>
    find(options, engines, rule, scenario, after),
  );
  return {
    policy: options.policy.name,
    module: options.module,
    verdict:
      counterexamples.length > 0 ? 'fails' : unexercised.length > 0 ? 'inconclusive' : 'passes',
    scenarios,
    steps: engines.steps,
    seed: options.seed,
    counterexamples,
    longest,
    exercised,
    unexercised,
    notApplicable: idle.filter((id) => never.has(id)),
  };
}

/** Shrinks a failing scenario, executes the result twice more, and reports it. */
function find(
  options: CheckOptions,
  engines: Engines,
  rule: string,
  scenario: Scenario,
  foundAfter: number,
): Counterexample {
  const shrunk = shrink(scenario, (candidate) => engines.run(candidate)?.rule === rule);
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
 * Two more executions, each on a VM of its own: the same violation, or the policy keeps state
 * between runs.
 */
function confirm(options: EngineOptions, scenario: Scenario, rule: string): Violation {
  const afresh = (): Violation | null =>
    new Engine({ ...options, kind: scenario.vm }).run(scenario);
  const [first, second] = [afresh(), afresh()];
  if (first === null || first.rule !== rule || JSON.stringify(first) !== JSON.stringify(second)) {
    throw new NotDeterministic(
      `policy ${options.policy.name} is not deterministic: ${formatScenario(scenario)} broke ${rule}, and then ` +
        `${first?.rule ?? 'nothing'} and ${second?.rule ?? 'nothing'}`,
    );
  }
  return first;
}

/** The report of a violation. */
export function explain(
  options: CheckOptions | ExplainOptions,
  scenario: Scenario,
  violation: Violation,
): Report {
  const handle =
    'handle' in options && options.handle !== undefined ? options.handle : options.policy.name;
  const command = `sept show ${handle} --module ${options.module} '${formatScenario(scenario)}'`;
  const rules = [...rulesFor(options.module), ...(options.extra ?? [])];
  return report(ruleOf(rules, violation.rule), timelineOf(options, scenario), scenario, command);
}

/** Options of {@link explain}. */
export type ExplainOptions = EngineOptions & { readonly handle?: string };

/** The text of a rule; a fault of the machine has one, too. */
function ruleOf(rules: readonly RuleText[], id: string): RuleText {
  const known = [...rules, ...FAULTS].find((rule) => rule.id === id);
  if (known === undefined) throw new Error(`a run broke ${id}, which is no rule`);
  return known;
}
