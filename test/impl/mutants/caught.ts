/** Tests of known bugs, for a subset of them: vitest runs files in parallel. */
import { describe, expect, test } from 'vitest';
import type { Mutant } from '../../../impl/mutants/mutant.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { check, type Verdict } from '../../../properties/checker/check.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { headOf } from '../../../properties/checker/surveys/mutants.ts';
import { textOf } from '../../support/repository.ts';

const SEEDS = [1, 2, 3];
const BUDGET = 20_000;
const MOST_ROWS = 14;
/** Least number of scenarios that the policy without the bug passes. */
const LEAST_OF_BASE = 1500;

/** Registers the tests of some bugs. */
export function describeCaught(mutants: readonly Mutant[]): void {
  const found = mutants.map((mutant) =>
    SEEDS.map((seed) => verdictOf(mutant.policy, seed, BUDGET, mutant.breaks)),
  );
  const longest = new Map<Policy, number>();
  for (const [i, { base }] of mutants.entries()) {
    const took = (found[i] ?? []).flatMap(({ counterexamples }) =>
      counterexamples.map(({ foundAfter }) => foundAfter),
    );
    longest.set(base, Math.max(LEAST_OF_BASE, longest.get(base) ?? 0, ...took));
  }
  const passed = new Map<Policy, Verdict>();
  const verdictOfBase = (base: Policy): Verdict => {
    // a base may break other rules, which its header names: only those that catch the bugs count
    const rules = mutants.filter((mutant) => mutant.base === base).flatMap(({ breaks }) => breaks);
    const verdict =
      passed.get(base) ?? verdictOf(base, 1, longest.get(base) ?? LEAST_OF_BASE, rules);
    passed.set(base, verdict);
    return verdict;
  };

  describe.each(mutants.map((mutant, i) => ({ ...mutant, verdicts: found[i] ?? [] })))(
    '$id: $title',
    (mutant) => {
      const { base, breaks, verdicts } = mutant;
      const counterexamples = verdicts.flatMap((verdict) => verdict.counterexamples);

      test(`${breaks.join(' or ')} catches it from every seed, within ${MOST_ROWS} rows`, () => {
        expect(counterexamples.map(({ violation }) => breaks.includes(violation.rule))).toEqual(
          SEEDS.map(() => true),
        );
        const rows = counterexamples
          .map(({ report }) => report.rows.length)
          .toSorted((a, b) => a - b);
        expect(rows[1]).toBeLessThanOrEqual(MOST_ROWS);
      });

      test(`${base.name} passes, and exercises the rule, within as many scenarios`, () => {
        const verdict = verdictOfBase(base);
        expect(verdict.counterexamples.map(({ report }) => report.text).join('\n\n')).toBe('');
        for (const { violation } of counterexamples)
          expect(verdict.exercised[violation.rule], violation.rule).toBeGreaterThan(0);
      });

      test('docs/mutants.md has a counterexample that still breaks the rule', () => {
        const [row = ''] = textOf('docs/mutants.md')
          .split('\n')
          .filter((line) => line.startsWith(`| [${mutant.id}]`));
        expect(row).toContain(headOf(mutant));
        const scenario = parseScenario(/`(.*)` \|$/.exec(row)?.[1]?.replaceAll('\\|', '|') ?? '');
        const engine = new Engine({
          policy: mutant.policy,
          kind: scenario.vm,
          module: '1.5',
          only: breaks,
        });
        expect(breaks).toContain(engine.run(scenario)?.rule);
      });
    },
  );
}

const verdictOf = (policy: Policy, seed: number, runs: number, only?: readonly string[]): Verdict =>
  check({
    policy,
    module: '1.5',
    seed,
    runs,
    ...(only === undefined ? {} : { only, stopAfter: 1 }),
  });
