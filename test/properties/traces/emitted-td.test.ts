/**
 * Runs of TDs, emitted as traces of a TDX host: judgeTrace reports for the trace what the monitors
 * report for the run, at the end of the run, and nothing else.
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
const RUNS = 5;
const BUDGET = 20_000;

/** Number of events by which a violation may precede the end of its run. */
const LAST_EVENTS = 3;

const TDS: readonly Policy[] = [...POLICIES, ...MUTANTS.map(({ policy }) => policy)].filter(
  ({ vms }) => vms[0] !== 'vm',
);

interface Opinions {
  /** Rule that the monitors report; null if none, or if no event up to there shows it. */
  readonly monitors: string | null;
  readonly trace: readonly string[];
  /** Number of lines from the first violation in the trace to its end. */
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
  test('judgeTrace reports for its traces what the monitors report for its runs', () => {
    const scenarios = fc.sample(
      new ScenarioArbitrary(...shapesOf(policy).filter(({ vm }) => vm !== 'vm')),
      { seed: 7, numRuns: RUNS },
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

/** Rules that only these bugs break, after another rule. */
const SECOND: ReadonlyMap<string, readonly string[]> = new Map([
  ['B-44', ['K45']],
  ['B-62', ['K66']],
]);

/** Policies that break rules about TDs: the known bugs, and policies with other faults. */
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

/** Rules broken so far, in a run and in its trace. */
const seen = new Set<string>();

test.each(BREAKING)(
  'judgeTrace refuses the trace of the shortest counterexample of %s',
  (_, policy, rules) => {
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
      const { monitors, trace } = opinionsOf(
        new Emitter({ policy, module, only: rules }),
        scenario,
      );
      if (monitors === null) continue;
      expect(trace, formatScenario(scenario)).toContain(monitors);
      seen.add(monitors);
    }
  },
);

test('every rule about TDs is broken by a run and reported in its trace', () => {
  expect([...seen].toSorted()).toEqual([...TDX_TRACE_RULE_IDS].toSorted());
});
