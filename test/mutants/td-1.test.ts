/**
 * Known bugs of TDs, the first half: each is caught by one of the rules that it breaks, from fixed seeds, and the policy
 * without it is not. What a run of the whole survey says is in docs/mutants.md.
 */
import { describe, expect, test } from 'vitest';
import { MUTANTS } from '../../impl/mutants/index.ts';
import type { Mutant } from '../../impl/mutants/mutant.ts';
import { check } from '../../properties/check.ts';
import { SYSTEM_RULES } from '../../properties/rules/index.ts';

const IDS = new Set([
  'B-43', 'B-44', 'B-45', 'B-46', 'B-47', 'B-48', 'B-49', 'B-51', 'B-62', 'B-63', 'B-64', 'B-65', 'B-66', 'B-67',
  'B-75', 'B-84',
]);
const MINE = MUTANTS.filter(({ id }) => IDS.has(id));

/** Histories from each seed, and rows of the counterexample. */
const BUDGET = 6000;
const SEEDS = [1, 5];
const ROWS = 14;

const KNOWN = new Set(SYSTEM_RULES.map(({ id }) => id));
const rulesOf = ({ breaks }: Mutant): string[] => breaks.filter((id) => KNOWN.has(id));

/** Bugs that no rule of this half can see. */
const [JUDGED, UNJUDGED] = [MINE.filter((bug) => rulesOf(bug).length > 0), MINE.filter((bug) => rulesOf(bug).length === 0)];

describe('a known bug', () => {
  test.each(JUDGED.map((bug) => [bug.id, bug.title, rulesOf(bug).join(' or '), bug] as const))(
    '%s (%s) is caught by %s', (_id, _title, _rules, bug) => {
      for (const seed of SEEDS) {
        const { findings } = check({
          policy: bug.policy, module: '1.5', seed, runs: BUDGET, only: rulesOf(bug), stopAtFirst: true,
        });

        expect(findings).toHaveLength(1);
        expect(rulesOf(bug)).toContain(findings[0]?.violation.rule);
        expect(findings[0]?.report.rows.length).toBeLessThanOrEqual(ROWS);
      }
    });

  test.each(JUDGED.map((bug) => [bug.id, bug.base.name, bug] as const))(
    '%s is not seen in %s, where the rules are put to the test', (_id, _base, bug) => {
      const rules = rulesOf(bug);
      const { findings, exercised } = check({ policy: bug.base, module: '1.5', seed: 1, runs: 2000, only: rules });

      expect(findings).toEqual([]);
      expect(Object.values(exercised).reduce((sum, times) => sum + times, 0)).toBeGreaterThan(0);
    });
});

test('every bug of this half is there, and only those of other rules are left to others', () => {
  expect(MINE.map(({ id }) => id)).toEqual([...IDS]);
  expect(UNJUDGED.map(({ id }) => id)).toEqual(KNOWN.has('K56') ? [] : ['B-49']);
});
