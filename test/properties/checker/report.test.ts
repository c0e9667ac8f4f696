/** Reports, golden: what an engineer reads when a policy fails. */
import { describe, expect, test } from 'vitest';
import { mirrorNaive, POLICIES, rcuBranchFree } from '../../../impl/index.ts';
import type { Policy } from '../../../impl/vm/policy.ts';
import { check, explain } from '../../../properties/checker/check.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { COLUMNS } from '../../../properties/checker/reports/report.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';

function reportOf(policy: Policy, text: string): string {
  const options = { policy, module: '1.5' } as const;
  const scenario = parseScenario(text);
  const violation = new Engine(options).run(scenario);
  return violation === null ? 'no rule is broken' : explain(options, scenario, violation).text;
}

describe('the report of a failing policy', () => {
  test('shows a child that overtakes its parent', () => {
    expect(reportOf(mirrorNaive, 'v0: touch 0 | v1: accept 0 | @v0.0.62>1')).toMatchInlineSnapshot(`
      "S01: Every call of the module succeeds, or fails in a way that its caller has an answer to.
      source: thread, messages 2, 4, 14; K47, K53, K56 (any other error kills the VM)

          v0                                              v1
          [touch 0]
        1 SEPT.ADD 0@1G -> SUCCESS
            S-EPT FREE -> NL_MAPPED p25
            mirror none -> table p26
        2 mirror entry 0@2M
            mirror none -> table p28
                                                          [accept 0]
      ! 3                                                 PAGE.AUG 0@4K -> EPT_WALK_FAILED|RCX
                                                            mirror none -> leaf p48

      expected: TDH.MEM.PAGE.AUG answers TDX_SUCCESS or TDX_OPERAND_BUSY
      seen:     TDX_EPT_WALK_FAILED|RCX

      scenario: v0: touch 0 | v1: accept 0 | @v0.0.62>1
      replay: sept show mirror-naive --module 1.5 'v0: touch 0 | v1: accept 0 | @v0.0.62>1'"
    `);
  });

  test('shows a blocked table that hides its children', () => {
    expect(reportOf(rcuBranchFree, 'v0: read 0 | h0: remove-table 0')).toMatchInlineSnapshot(`
      "S01: Every call of the module succeeds, or fails in a way that its caller has an answer to.
      source: thread, messages 2, 4, 14; K47, K53, K56 (any other error kills the VM)

          v0                              h0                              rcu
          [read 0]
        1 SEPT.ADD 0@1G -> SUCCESS
            S-EPT FREE -> NL_MAPPED p25
            mirror none -> table p26
        2 SEPT.ADD 0@2M -> SUCCESS
            S-EPT FREE -> NL_MAPPED p27
            mirror none -> table p28
        3 PAGE.AUG 0@4K -> SUCCESS
            S-EPT FREE -> PENDING p48
            mirror none -> leaf p48
        4 PAGE.ACCEPT 0@4K -> SUCCESS
            S-EPT PENDING p48 -> MAPPED
              p48
                                          [remove-table 0]
        5                                 RANGE.BLOCK 0@2M -> SUCCESS
                                            S-EPT NL_MAPPED p27 ->
                                              NL_BLOCKED p27
                                            mirror table p28 -> none
                                                                          [rcu]
      ! 6                                                                 RANGE.BLOCK 0@4K ->
                                                                            EPT_WALK_FAILED|RCX

      expected: TDH.MEM.RANGE.BLOCK answers TDX_SUCCESS
      seen:     TDX_EPT_WALK_FAILED|RCX

      scenario: v0: read 0 | h0: remove-table 0
      replay: sept show rcu-branch-free --module 1.5 'v0: read 0 | h0: remove-table 0'"
    `);
  });

  test('shows who holds the lock that was refused', () => {
    expect(reportOf(rcuBranchFree, 'v0: accept 0 | h0: remove-table 0 | v1: accept 4 | @v1.0.50>1'))
      .toMatchInlineSnapshot(`
      "S01: Every call of the module succeeds, or fails in a way that its caller has an answer to.
      source: thread, messages 2, 4, 14; K47, K53, K56 (any other error kills the VM)

          v0                      h0                      v1                      rcu
          [accept 0]
        1 SEPT.ADD 0@1G ->
            SUCCESS
            S-EPT FREE ->
              NL_MAPPED p25
            mirror none -> table
              p26
        2 SEPT.ADD 0@2M ->
            SUCCESS
            S-EPT FREE ->
              NL_MAPPED p27
            mirror none -> table
              p28
        3 PAGE.AUG 0@4K ->
            SUCCESS
            S-EPT FREE -> PENDING
              p48
            mirror none -> leaf
              p48
        4 PAGE.ACCEPT 0@4K ->
            SUCCESS
            S-EPT PENDING p48 ->
              MAPPED p48
                                  [remove-table 0]
        5                         RANGE.BLOCK 0@2M ->
                                    SUCCESS
                                    S-EPT NL_MAPPED p27
                                      -> NL_BLOCKED p27
                                    mirror table p28 ->
                                      none
                                                          [accept 4]
        6                                                 SEPT.ADD 4@2M begins
                                                                                  [rcu]
      ! 7                                                                         RANGE.BLOCK 0@4K ->
                                                                                    OPERAND_BUSY|
                                                                                    SEPT_TREE

      expected: TDH.MEM.RANGE.BLOCK answers TDX_SUCCESS
      seen:     TDX_OPERAND_BUSY|SEPT_TREE

      scenario: v0: accept 0 | h0: remove-table 0 | v1: accept 4 | @v1.0.50>1
      replay: sept show rcu-branch-free --module 1.5 'v0: accept 0 | h0: remove-table 0 | v1: accept 4 |
           @v1.0.50>1'"
    `);
  });

  test('shows a mirror that differs when nobody has anything left to do', () => {
    const forgets: Policy = {
      ...mirrorNaive,
      name: 'forgets',
      *unmap(vm, gfn) {
        const place = yield* vm.mirror.walk(gfn, 0);
        yield* vm.mirror.write(place.table, place.index, 0);
      },
    };
    expect(reportOf(forgets, 'v0: read 0 | h0: unmap 0')).toMatchInlineSnapshot(`
      "S11: What the host has asked back, it has got back when nothing is in flight.
      source: K22; P6 (the callback may come later, but it has to come)

          v0
          [read 0]
        1 SEPT.ADD 0@1G -> SUCCESS
            S-EPT FREE -> NL_MAPPED p25
            mirror none -> table p26
        2 SEPT.ADD 0@2M -> SUCCESS
            S-EPT FREE -> NL_MAPPED p27
            mirror none -> table p28
        3 PAGE.AUG 0@4K -> SUCCESS
            S-EPT FREE -> PENDING p48
            mirror none -> leaf p48
        4 PAGE.ACCEPT 0@4K -> SUCCESS
            S-EPT PENDING p48 -> MAPPED p48

      expected: the host has page 48 of GFN 0 back, as it asked
      seen:     the guest still has it
           (found when nobody had anything left to do, or nobody could go on)

      scenario: v0: read 0 | h0: unmap 0
      replay: sept show forgets --module 1.5 'v0: read 0 | h0: unmap 0'"
    `);
  });

  test('shows what everybody did last when nobody can go on', () => {
    const keeps: Policy = {
      ...mirrorNaive,
      name: 'keeps',
      *unmap(vm) {
        yield* vm.mmuLock.readLock();
        yield* vm.mmuLock.writeLock();
      },
    };
    expect(reportOf(keeps, 'v0: read 0 | h0: unmap 0')).toMatchInlineSnapshot(`
      "S07: Nobody waits for ever, and nobody ends with a lock in hand.
      source: K4, K42, K57

          v0
          [read 0]
        1 SEPT.ADD 0@1G -> SUCCESS
            S-EPT FREE -> NL_MAPPED p25
            mirror none -> table p26
        2 SEPT.ADD 0@2M -> SUCCESS
            S-EPT FREE -> NL_MAPPED p27
            mirror none -> table p28
        3 PAGE.AUG 0@4K -> SUCCESS
            S-EPT FREE -> PENDING p48
            mirror none -> leaf p48
        4 walk by the module 0@4K -> SUCCESS
        5 PAGE.ACCEPT 0@4K -> SUCCESS
            S-EPT PENDING p48 -> MAPPED p48
        6 reads GFN 0
            page 48, was 0

      expected: some actor can take its next step
      seen:     h0 waits for mmu_lock, held by h0
           (found when nobody had anything left to do, or nobody could go on)

      scenario: v0: read 0 | h0: unmap 0
      replay: sept show keeps --module 1.5 'v0: read 0 | h0: unmap 0'"
    `);
  });

  test('never has a line of more than 100 columns', () => {
    for (const policy of POLICIES.filter(({ breaks }) => breaks.length > 0)) {
      const { counterexamples } = check({ policy, module: '1.5', seed: 2, runs: 120 });
      for (const { report } of counterexamples) {
        for (const line of report.text.split('\n'))
          expect(line.length).toBeLessThanOrEqual(COLUMNS);
      }
    }
  });
});
