/**
 * Runs of TDs, written down as a host of TDX would have told them: what the monitors say of a run,
 * the judge of traces says of its trace, at the place where the run ends, and of what was right it
 * says nothing.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { POLICIES } from '../../../impl/index.ts';
import { MUTANTS } from '../../../impl/mutants/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { check } from '../../../properties/checker/check.ts';
import { ScenarioArbitrary } from '../../../properties/checker/scenarios/arbitrary.ts';
import { CORPUS } from '../../../properties/checker/scenarios/corpus.ts';
import type { Scenario } from '../../../properties/checker/scenarios/scenario.ts';
import { formatScenario } from '../../../properties/checker/scenarios/text.ts';
import { shapesOf } from '../../../properties/checker/shapes.ts';
import { isIn, MAY_SHOW_LATER, whyUnseen } from '../../../properties/traces/blind-spots.ts';
import { Emitter } from '../../../properties/traces/emit/emit.ts';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { TDX_TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { FAULTY_TDS } from '../rules/faulty-tds.ts';

const module = '1.5';
const HISTORIES = 5;
const BUDGET = 20_000;

/** A run ends with the step that breaks a rule, which tells of a few events at most. */
const LAST_EVENTS = 3;

const TDS: readonly Policy[] = [...POLICIES, ...MUTANTS.map(({ policy }) => policy)].filter(
  ({ vms }) => vms[0] !== 'vm',
);

interface Opinions {
  /**
   * The rule that the monitors say is broken; null when none is, or when no event up to there tells
   * of it.
   */
  readonly monitors: string | null;
  readonly trace: readonly string[];
  /** How many lines before the end the first violation is. */
  readonly early: number;
}

function opinionsOf(emitter: Emitter, scenario: Scenario): Opinions {
  const { lines, violation } = emitter.emit(scenario);
  const { violations } = judgeTrace(lines);
  return {
    monitors:
      violation === null || whyUnseen(violation) !== null || isIn(MAY_SHOW_LATER, violation)
        ? null
        : violation.rule,
    trace: violations.map(({ rule }) => rule),
    early: violations[0] === undefined ? 0 : lines.length - violations[0].line,
  };
}

describe.each(TDS.map((policy) => [policy.name, policy] as const))('%s', (_, policy) => {
  test('is judged by its traces as by the monitors', () => {
    const scenarios = fc.sample(
      new ScenarioArbitrary(...shapesOf(policy).filter(({ vm }) => vm !== 'vm')),
      { seed: 7, numRuns: HISTORIES },
    );
    const corpus = CORPUS.filter(({ vm }) => vm !== 'vm' && policy.vms.includes(vm));
    const emitter = new Emitter({ policy, module, only: TDX_TRACE_RULE_IDS });
    for (const scenario of [...scenarios, ...corpus]) {
      const { monitors, trace, early } = opinionsOf(emitter, scenario);
      const text = formatScenario(scenario);
      if (monitors === null) expect(trace, text).toEqual([]);
      else expect(trace, text).toContain(monitors);
      expect(early, text).toBeLessThan(LAST_EVENTS);
    }
  });
});

/** Bugs that break a rule which nothing else does, after another one. */
const SECOND: ReadonlyMap<string, readonly string[]> = new Map([
  ['B-44', ['K45']],
  ['B-62', ['K66']],
]);

/**
 * What breaks rules that traces are judged by: the known bugs, and what else is wrong with some
 * policy.
 */
const BREAKING: readonly (readonly [name: string, policy: Policy, rules: readonly string[]])[] = [
  ...MUTANTS.map(({ breaks, policy }) => [policy.name, policy, breaks] as const),
  ...MUTANTS.flatMap(({ id, policy }) =>
    SECOND.has(id)
      ? [[`${policy.name} by another rule`, policy, SECOND.get(id) ?? []] as const]
      : [],
  ),
  ...FAULTY_TDS.map(([rule, fault, policy]) => [`a policy that ${fault}`, policy, [rule]] as const),
].filter(
  ([, { vms }, rules]) =>
    vms[0] !== 'vm' && rules.some((rule) => TDX_TRACE_RULE_IDS.includes(rule)),
);

/** Rules that a policy was seen to break, in a run and in its trace. */
const seen = new Set<string>();

test.each(BREAKING)('%s: its shortest counterexample is refused as a trace', (_, policy, rules) => {
  const { counterexamples } = check({
    policy,
    module,
    seed: 1,
    runs: BUDGET,
    corpus: CORPUS,
    only: rules,
    stopAfter: 1,
  });
  expect(counterexamples).not.toEqual([]);
  for (const { scenario } of counterexamples) {
    const { monitors, trace } = opinionsOf(new Emitter({ policy, module, only: rules }), scenario);
    if (monitors === null) continue;
    expect(trace, formatScenario(scenario)).toContain(monitors);
    seen.add(monitors);
  }
});

test('every rule about TDs is broken by some run, and refused in its trace', () => {
  expect([...seen].toSorted()).toEqual([...TDX_TRACE_RULE_IDS].toSorted());
});
