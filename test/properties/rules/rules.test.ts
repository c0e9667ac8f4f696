/** Every S rule catches a policy that breaks it. */
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

describe('policies that break S rules', () => {
  test.each(FAULTY)('%s catches a policy that %s', (rule, _fault, policy) => {
    expect(caught(policy, rule)).toEqual([rule]);
  });

  test('S05 catches a policy that installs pages that were reclaimed meanwhile', () => {
    expect(caught(STALE_FAULTS, 'S05')).toEqual(['S05']);
  });

  test('S03 catches a policy that tears the TD down before its leaves are removed', () => {
    expect(caught(TEARS_DOWN_FIRST, 'S03')).toEqual(['S03']);
  });
});

test('every S rule has a policy that breaks it', () => {
  const systemIds = SYSTEM_RULES.map((rule) => rule.id).filter((id) => id.startsWith('S'));
  expect(FAULTY.map(([rule]) => rule).toSorted()).toEqual(systemIds);
});
