/**
 * May a fault split a large page with mmu_lock held for read, on modules that do not exist? The
 * verdicts of docs/what-if.md, on a smaller budget.
 */
import { describe, expect, test } from 'vitest';
import {
  dynamicPamt,
  hugePages2023,
  hugePagesRfc1,
  hugePagesV3,
  retryNZapUnderRead,
  splitInFault,
  splitInFaultEarlyTest,
} from '../../../impl/index.ts';
import splitUnderReadBug from '../../../impl/mutants/b-63-split-under-read.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { check } from '../../../properties/checker/check.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { CORPUS } from '../../../properties/checker/scenarios/corpus.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';

/** The rules that a policy breaks on a module, in order of their ids. */
const brokenBy = (policy: Policy, module: ModuleVersion): string[] =>
  check({ policy, module, seed: 1, runs: 250, corpus: CORPUS })
    .counterexamples.map(({ violation }) => violation.rule)
    .toSorted();

describe.each(['demote-without-block', 'one-call-split'] as const)('module %s', (module) => {
  test('a fault may split with mmu_lock held for read, if the split is one DEMOTE', () => {
    const { verdict } = check({ policy: splitInFault, module, seed: 1, runs: 800, corpus: CORPUS });
    expect(verdict).toBe('passes');
  });

  test('a fault may not test the inhibit before it takes mmu_lock for read', () => {
    const scenario = parseScenario('v0: read 0 | v1: accept 0 | @v0.0.32>1 @v1.0.0?1');
    const ruleOn = (policy: Policy): string | undefined =>
      new Engine({ policy, module }).run(scenario)?.rule;

    expect(ruleOn(splitInFaultEarlyTest)).toBe('K67');
    expect(ruleOn(splitInFault)).toBeUndefined();
    expect(ruleOn(hugePagesV3)).toBeUndefined();
  });

  test('a split by BLOCK, TRACK and DEMOTE still needs mmu_lock held for write', () => {
    expect(brokenBy(splitUnderReadBug.policy, module)).toContain('K55');
    for (const rule of ['K65', 'K46']) {
      const only = [rule];
      const policy = rule === 'K65' ? hugePages2023 : retryNZapUnderRead;
      const found = check({ policy, module, seed: 1, runs: 100, corpus: CORPUS, only });
      expect(found.counterexamples.map(({ violation }) => violation.rule)).toEqual(only);
    }
  });
});

test('policies pass on a module with dynamic PAMT as on the module without', () => {
  for (const policy of [hugePagesV3, dynamicPamt])
    expect(brokenBy(policy, 'dynamic-pamt'), policy.name).toEqual([]);
});

test('without an uninterruptible DEMOTE a fault retries a split that is interrupted', () => {
  const text = 'v0: read 0; accept 0 | h0: interrupt-storm 0 | @v0.1.2>1';
  for (const module of ['demote-without-block', 'one-call-split'] as const)
    expect(new Engine({ policy: splitInFault, module }).run(parseScenario(text))).toBeNull();
});

describe('module uninterruptible-demote', () => {
  const module = 'uninterruptible-demote';

  test('a split under the read lock breaks what it breaks on 1.5.05', () => {
    const [expected, now] = [brokenBy(splitInFault, '1.5.05'), brokenBy(splitInFault, module)];
    expect(now).toEqual(expected);
    expect(now).toContain('S01');
    expect(brokenBy(hugePages2023, module)).toContain('K46');
  });

  test('restarting an interrupted DEMOTE without bound is a fault of 1.5.05 alone', () => {
    expect(brokenBy(hugePagesRfc1, '1.5.05')).toContain('K66');
    expect(brokenBy(hugePagesRfc1, module)).not.toContain('K66');
  });
});
