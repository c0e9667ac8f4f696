/**
 * The question of January 2023: can KVM prune a branch of a Secure EPT and let an RCU callback,
 * which then holds the only reference, remove it? The tests answer it by scenarios that are short
 * enough to read.
 */
import { describe, expect, test } from 'vitest';
import {
  exclusive,
  frozenMirror,
  pruneUnderLock,
  rcuBranchFree,
  rcuBranchFreeBottomUp,
  rcuBranchFreeLeavesFirst,
  rcuBranchFreeRetry,
  rcuBranchFreeTableFirst,
} from '../../../impl/index.ts';
import parentBlockedFirst from '../../../impl/mutants/b-46-parent-blocked-first.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { timelineOf } from '../../../properties/checker/reports/timeline.ts';
import { vmOf } from '../../../properties/checker/scenarios/scenario.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { MODULE_VERSIONS, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';

const seen = (policy: Policy, module: ModuleVersion, text: string): string | undefined => {
  const scenario = parseScenario(text);
  return new Engine({ policy, module, ...vmOf(scenario) }).run(scenario)?.seen;
};

const callsOf = (policy: Policy, module: ModuleVersion, text: string): string[] =>
  timelineOf({ policy, module }, parseScenario(text))
    .rows.map((row) => row.text)
    .filter((call) => call !== '');

describe.each(MODULE_VERSIONS)('under module %s', (module) => {
  test('even alone, the callback cannot reach the children of the blocked table', () => {
    expect(seen(rcuBranchFree, module, 'v0: read 0 | h0: remove-table 0')).toBe(
      'TDX_EPT_WALK_FAILED|RCX',
    );
  });

  test('retrying while the module is busy does not make the children visible', () => {
    expect(seen(rcuBranchFreeRetry, module, 'v0: read 0 | h0: remove-table 0')).toBe(
      'TDX_EPT_WALK_FAILED|RCX',
    );
  });

  test('the callback cannot remove the table before its children', () => {
    expect(seen(rcuBranchFreeTableFirst, module, 'v0: read 0 | h0: remove-table 0')).toBe(
      module === '1.0.03' ? 'TDX_EPT_ENTRY_NOT_FREE|RCX' : 'TDX_EPT_PAGE_NOT_FREE|RCX',
    );
  });

  test('the same branch can be removed bottom-up, with every ancestor mapped until then', () => {
    const text = 'v0: read 0 | h0: remove-table 0';
    expect(seen(exclusive, module, text)).toBeUndefined();
    expect(callsOf(exclusive, module, text)).toContain('SEPT.REMOVE 0@2M -> SUCCESS');
  });

  test('a fault elsewhere in the tree makes the callback meet BUSY', () => {
    expect(
      seen(rcuBranchFree, module, 'v0: accept 0 | h0: remove-table 0 | v1: accept 4 | @v1.0.50>1'),
    ).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
  });

  test('a large page is split and merged while the TD runs, without an unblock', () => {
    const text = 'v0: touch 0; touch 1; idle 0; read 0; read 1 | h0: promote 0; demote 0';

    expect(seen(exclusive, module, text)).toBeUndefined();
    expect(callsOf(exclusive, module, text).filter((call) => / 0@2M /.test(call))).toEqual([
      'SEPT.ADD 0@2M -> SUCCESS',
      'RANGE.BLOCK 0@2M -> SUCCESS',
      'PAGE.PROMOTE 0@2M -> SUCCESS',
      'RANGE.BLOCK 0@2M -> SUCCESS',
      'PAGE.DEMOTE 0@2M -> SUCCESS',
    ]);
  });

  test('PROMOTE is refused unless all pages are in one state, and the table is unblocked', () => {
    // v1 is preempted between the fault that adds its page and the ACCEPT: the page is pending
    const text = 'v0: accept 0 | v1: accept 1 | h0: promote 0 | @v1.0.STEP>1';
    const answers = Array.from({ length: 160 }, (_, step) =>
      callsOf(exclusive, module, text.replace('STEP', String(step))),
    );
    const refused = answers.find((calls) =>
      calls.includes('PAGE.PROMOTE 0@2M -> EPT_INVALID_PROMOTE_CONDITIONS|RCX'),
    );

    expect(refused).toContain('RANGE.UNBLOCK 0@2M -> SUCCESS');
  });

  test('a fault under the pruned entry meets a table that the mirror has forgotten', () => {
    expect(
      seen(rcuBranchFreeBottomUp, module, 'v0: touch 1 | h0: remove-table 0 | v1: touch 0'),
    ).toBe(
      module === '1.0.03' ? 'TDX_EPT_ENTRY_NOT_FREE|RCX' : 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX',
    );
  });

  test('frozen-mirror keeps its tables, and passes the same scenarios', () => {
    for (const text of [
      'v0: read 0 | h0: remove-table 0',
      'v0: touch 1 | h0: remove-table 0 | v1: touch 0',
    ]) {
      expect(seen(frozenMirror, module, text)).toBeUndefined();
    }
  });
});

/** The calls that remove the table of 0@1G, which has the table of 0@2M below it. */
const BRANCH = 'v0: read 0 | h0: remove-table 0@1G';

describe.each(MODULE_VERSIONS)('a branch with tables in it, under module %s', (module) => {
  const notFree = module === '1.0.03' ? 'TDX_EPT_ENTRY_NOT_FREE|RCX' : 'TDX_EPT_PAGE_NOT_FREE|RCX';
  const notEmpty =
    module === '1.0.03' ? 'TDX_EPT_ENTRY_NOT_FREE|RCX' : 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX';

  test.each([
    ['the callback cannot reach the leaves', rcuBranchFree, BRANCH],
    ['the callback cannot reach a table that has no leaf', rcuBranchFreeLeavesFirst, BRANCH],
    [
      'the callback cannot reach a table in a branch without leaves',
      rcuBranchFree,
      'v0: touch 0 | h0: unmap 0; remove-table 0@1G',
    ],
    ['nor can the task that holds mmu_lock for write', parentBlockedFirst.policy, BRANCH],
  ])('once the top is blocked, %s', (_, policy, text) => {
    expect(seen(policy, module, text)).toBe('TDX_EPT_WALK_FAILED|RCX');
  });

  test('the top table cannot go first, as the tables below it are its children', () => {
    expect(seen(rcuBranchFreeTableFirst, module, BRANCH)).toBe(notFree);
    const empty = 'v0: touch 0 | h0: unmap 0; remove-table 0@1G';
    expect(seen(rcuBranchFreeTableFirst, module, empty)).toBe(notFree);
  });

  test('a fault below it meets tables that the mirror has forgotten', () => {
    expect(seen(rcuBranchFreeBottomUp, module, `${BRANCH} | v1: touch 1`)).toBe(notEmpty);
  });

  test.each([
    [exclusive, BRANCH, ['0@2M', '0@1G']],
    [pruneUnderLock, BRANCH, ['0@2M', '0@1G']],
    [
      pruneUnderLock,
      'levels 5 | v0: touch 0; touch 4 | h0: remove-table 0@256T',
      ['0@2M', '0@1G', '4@2M', '4@1G', '0@512G', '0@256T'],
    ],
    [frozenMirror, BRANCH, []],
  ])(
    '$name removes each table after those below it, and breaks no rule',
    (policy, text, tables) => {
      expect(seen(policy, module, text)).toBeUndefined();
      expect(
        callsOf(policy, module, text).filter((call) => call.startsWith('SEPT.REMOVE')),
      ).toEqual(tables.map((table) => `SEPT.REMOVE ${table} -> SUCCESS`));
    },
  );
});

test('a fault whose allocation fails is retried, and so is a split that is necessary', () => {
  const texts = Array.from({ length: 160 }, (_, step) => [
    `v0: touch 0 | @v0.0.${step}?1`,
    `v0: touch 0; touch 1; idle 0 | h0: promote 0; unmap 0 | @h0.1.${step}?1`,
    `v0: touch 0; touch 1; idle 0 | h0: promote 0; demote 0 | @h0.1.${step}?1`,
  ]).flat();

  expect(
    texts
      .map((text) => seen(exclusive, '1.5', text))
      .filter((violation) => violation !== undefined),
  ).toEqual([]);
});
