/** For every K rule about direct roots, a policy with one change breaks it, and is caught. */
import { describe, expect, test } from 'vitest';
import { MUTANTS } from '../../../impl/mutants/index.ts';
import { upstream7 } from '../../../impl/policies/upstream-7.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { check } from '../../../properties/checker/check.ts';
import { KVM_RULES } from '../../../spec/kvm/rules/index.ts';
import { FAULTY } from './faulty.ts';

const BUDGET = 10_000;

const caught = (policy: Policy, rule: string): string[] =>
  check({
    policy,
    module: '1.5',
    seed: 1,
    runs: BUDGET,
    only: [rule],
    stopAfter: 1,
  }).counterexamples.map(({ violation }) => violation.rule);

/** A known bug of ordinary VMs that breaks the rule. */
const mutantFor = (rule: string): Policy | undefined =>
  MUTANTS.filter(({ base }) => base.vms.includes('vm'))
    .toSorted((a, b) => a.breaks.indexOf(rule) - b.breaks.indexOf(rule))
    .find(({ breaks }) => breaks.includes(rule))?.policy;

describe('faulty policies', () => {
  test.each(FAULTY)('%s catches a policy that %s', (rule, fault, change) => {
    const policy = { ...upstream7, name: fault, direct: { ...upstream7.direct, ...change } };

    expect(caught(policy, rule)).toEqual([rule]);
  });
});

describe('known bugs', () => {
  const byFaulty = new Set(FAULTY.map(([rule]) => rule));
  test.each(
    KVM_RULES.filter(({ id }) => !byFaulty.has(id)).map(({ id, statement }) => [id, statement]),
  )('a known bug breaks %s: %s', (rule) => {
    const policy = mutantFor(rule);

    expect(policy, `no known bug and no faulty policy breaks ${rule}`).toBeDefined();
    if (policy !== undefined) expect(caught(policy, rule)).toEqual([rule]);
  });
});
