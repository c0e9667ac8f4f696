/** Every S rule can be broken, and is seen to be: a rule that no policy breaks is no rule. */
import { describe, expect, test } from 'vitest';
import { check } from '../../../properties/checker/check.ts';
import { SYSTEM_RULES } from '../../../properties/rules/index.ts';
import { FAULTY, STALE_FAULTS, TEARS_DOWN_FIRST } from './faulty.ts';

const BUDGET = 6000;

const caught = (policy: (typeof FAULTY)[number][2], rule: string): string[] =>
  check({
    policy,
    module: '1.5',
    seed: 1,
    runs: BUDGET,
    only: [rule],
    stopAfter: 1,
  }).counterexamples.map(({ violation }) => violation.rule);

describe('a policy that', () => {
  test.each(FAULTY)('%s: %s is caught', (rule, _fault, policy) => {
    expect(caught(policy, rule)).toEqual([rule]);
  });

  test('S05: installs pages that were taken back meanwhile is caught', () => {
    expect(caught(STALE_FAULTS, 'S05')).toEqual(['S05']);
  });

  test('S03: tears the TD down before its leaves are gone is caught', () => {
    expect(caught(TEARS_DOWN_FIRST, 'S03')).toEqual(['S03']);
  });
});

test('no S rule is without such a policy', () => {
  const systemIds = SYSTEM_RULES.map((rule) => rule.id).filter((id) => id.startsWith('S'));
  expect(FAULTY.map(([rule]) => rule).toSorted()).toEqual(systemIds);
});
