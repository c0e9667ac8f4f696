/** Policies on modules that do not exist: the verdicts on which docs/what-if.md rests. */
import { describe, expect, test } from 'vitest';
import {
  dynamicPamt,
  exclusive,
  hugePages2023,
  hugePagesRfc1,
  hugePagesV3,
  rcuBranchFree,
  rcuBranchFreeTableFirst,
  rcuBranchFrozen,
  rcuBranchFrozenBottomUp,
  rcuBranchFrozenTrack,
  retryNZapUnderRead,
  splitInFault,
  splitInFaultEarlyTest,
} from '../../../impl/index.ts';
import splitUnderReadBug from '../../../impl/mutants/b-63-split-under-read.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { check } from '../../../properties/checker/check.ts';
import { Engine, rulesFor } from '../../../properties/checker/engine.ts';
import { CORPUS } from '../../../properties/checker/scenarios/corpus.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { isProtocol } from '../../../spec/machine/monitor.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';

/** The rules that a policy breaks on a module, in order of their ids. */
const brokenBy = (policy: Policy, module: ModuleVersion): string[] =>
  check({ policy, module, seed: 1, runs: 250, corpus: CORPUS })
    .counterexamples.map(({ violation }) => violation.rule)
    .toSorted();

/** What the module answers, or the checker sees, where a policy breaks a rule that is no K rule. */
function outcomeOf(policy: Policy, module: ModuleVersion, text: string): string | undefined {
  const scenario = parseScenario(text);
  const only = rulesFor(module, 'td').map(({ id }) => id);
  const options = { policy, module, only: only.filter((id) => !isProtocol(id)) };
  const { tree } = scenario;
  return new Engine(tree === undefined ? options : { ...options, tree }).run(scenario)?.seen;
}

/** A branch without tables in it, and one with. */
const REMOVALS = [
  'v0: read 0 | h0: remove-table 0',
  'levels 4 | v0: read 0; read 2 | h0: remove-table 0@1G',
] as const;
/** A fault where a branch was, and a zap of its range. */
const AFTERWARDS = [
  'v0: accept 0 | h0: remove-table 0 | v1: accept-huge 0',
  'v0: touch 0 | h0: remove-table 0; unmap 0',
] as const;
/** A zap beside a callback that is preempted in its n-th step. */
const beside = (step: number): string =>
  `v0: touch 0; touch 4 | h0: remove-table 0 | h1: unmap 4 | @h1.0.0>1 @x0.0.${step}>1`;
const STEPS = Array.from({ length: 40 }, (_, step) => step);

describe.each(REMOVALS)('a branch that a callback removes: %s', (text) => {
  test('the callback reaches no child where a blocked table hides what is below', () => {
    expect(outcomeOf(rcuBranchFree, 'fine-grained', text)).toBe('TDX_EPT_WALK_FAILED|RCX');
    expect(outcomeOf(rcuBranchFrozen, 'fine-grained', text)).toBe('TDX_EPT_WALK_FAILED|RCX');
    expect(outcomeOf(rcuBranchFreeTableFirst, 'fine-grained', text)).toBe(
      'TDX_EPT_PAGE_NOT_FREE|RCX',
    );
  });

  test('the callback reaches a child that the block of the table does not cover', () => {
    const module = 'fine-grained-visible';
    expect(outcomeOf(rcuBranchFree, module, text)).toBe('TDX_TLB_TRACKING_NOT_DONE|RCX');
    expect(outcomeOf(rcuBranchFrozen, module, text)).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
    expect(outcomeOf(rcuBranchFrozenTrack, module, text)).toBeUndefined();
  });

  test('the calls of the callback succeed where the block covers what is below', () => {
    for (const policy of [rcuBranchFree, rcuBranchFrozen])
      expect(outcomeOf(policy, 'fine-grained-covering', text)).toBeUndefined();
  });

  test('bottom-up, with every table mapped until it is empty, the branch can be removed', () => {
    for (const module of ['fine-grained', 'fine-grained-covering'] as const)
      for (const policy of [exclusive, rcuBranchFrozenBottomUp])
        expect(outcomeOf(policy, module, text)).toBeUndefined();
  });
});

test('a mirror that forgets the branch fails on every module; one that freezes it does not', () => {
  const module = 'fine-grained-covering';
  const [fault, zap] = AFTERWARDS;
  expect(outcomeOf(rcuBranchFree, module, fault)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
  expect(outcomeOf(rcuBranchFree, module, zap)).toBe('PAMT says REG');
  for (const text of AFTERWARDS) expect(outcomeOf(rcuBranchFrozen, module, text)).toBeUndefined();
});

test('a branch that stays frozen breaks only K rules where the block covers what is below', () => {
  const broken = brokenBy(rcuBranchFrozen, 'fine-grained-covering');
  expect(broken).toContain('K48');
  expect(broken.filter((rule) => !isProtocol(rule))).toEqual([]);
});

test('a zap meets the callback at the tree lock of 1.5.05, else at the epoch', () => {
  const seen = (policy: Policy, module: ModuleVersion): string[] => [
    ...new Set(STEPS.flatMap((step) => outcomeOf(policy, module, beside(step)) ?? [])),
  ];
  expect(seen(rcuBranchFrozenBottomUp, '1.5.05')).toEqual([
    'TDX_OPERAND_BUSY|SEPT_TREE',
    'TDX_OPERAND_BUSY|TD_EPOCH',
  ]);
  expect(seen(rcuBranchFrozenBottomUp, 'fine-grained')).toEqual(['TDX_OPERAND_BUSY|TD_EPOCH']);
  expect(seen(rcuBranchFrozenTrack, 'fine-grained-visible')).toEqual(['TDX_OPERAND_BUSY|TD_EPOCH']);
  expect(seen(rcuBranchFrozen, 'fine-grained-covering')).toEqual([]);
});

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
