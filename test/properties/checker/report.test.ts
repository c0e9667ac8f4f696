/** Reports of violations, as inline snapshots. */
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

describe('reports of failing policies', () => {
  test('a report shows a child that overtakes its parent', () => {
    expect(reportOf(mirrorNaive, 'v0: touch 0 | v1: accept 0 | @v0.0.62>1')).toMatchInlineSnapshot(`
      "S01: Every SEAMCALL succeeds or returns a status that its caller handles.
      source: thread, messages 2, 4 and 14; see K47, K53 and K56 (any other error kills the VM)

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

      expected: TDH.MEM.PAGE.AUG returns TDX_SUCCESS or TDX_OPERAND_BUSY
      seen:     TDX_EPT_WALK_FAILED|RCX
      hint: Find what another actor changed before the call: look for a lock not held, an entry not
           frozen, or a BUSY that the caller does not handle.

      scenario: v0: touch 0 | v1: accept 0 | @v0.0.62>1
      replay: sept show mirror-naive --module 1.5 'v0: touch 0 | v1: accept 0 | @v0.0.62>1'"
    `);
  });

  test('a report shows a blocked table that hides its children', () => {
    expect(reportOf(rcuBranchFree, 'v0: read 0 | h0: remove-table 0')).toMatchInlineSnapshot(`
      "S01: Every SEAMCALL succeeds or returns a status that its caller handles.
      source: thread, messages 2, 4 and 14; see K47, K53 and K56 (any other error kills the VM)

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

      expected: TDH.MEM.RANGE.BLOCK returns TDX_SUCCESS
      seen:     TDX_EPT_WALK_FAILED|RCX
      hint: Find what another actor changed before the call: look for a lock not held, an entry not
           frozen, or a BUSY that the caller does not handle.

      scenario: v0: read 0 | h0: remove-table 0
      replay: sept show rcu-branch-free --module 1.5 'v0: read 0 | h0: remove-table 0'"
    `);
  });

  test('a report shows the call that holds the lock that was refused', () => {
    expect(reportOf(rcuBranchFree, 'v0: accept 0 | h0: remove-table 0 | v1: accept 4 | @v1.0.50>1'))
      .toMatchInlineSnapshot(`
        "S01: Every SEAMCALL succeeds or returns a status that its caller handles.
        source: thread, messages 2, 4 and 14; see K47, K53 and K56 (any other error kills the VM)

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

        expected: TDH.MEM.RANGE.BLOCK returns TDX_SUCCESS
        seen:     TDX_OPERAND_BUSY|SEPT_TREE
        hint: Find what another actor changed before the call: look for a lock not held, an entry not
             frozen, or a BUSY that the caller does not handle.

        scenario: v0: accept 0 | h0: remove-table 0 | v1: accept 4 | @v1.0.50>1
        replay: sept show rcu-branch-free --module 1.5 'v0: accept 0 | h0: remove-table 0 | v1: accept 4 |
             @v1.0.50>1'"
      `);
  });

  test('a report shows a violation that is found when all actors have ended', () => {
    const forgets: Policy = {
      ...mirrorNaive,
      name: 'forgets',
      *unmap(vm, gfn) {
        const place = yield* vm.mirror.walk(gfn, 0);
        yield* vm.mirror.write(place.table, place.index, 0);
      },
    };
    expect(reportOf(forgets, 'v0: read 0 | h0: unmap 0')).toMatchInlineSnapshot(`
      "S11: When no operation is in flight, every page that the host asked back has been returned.
      source: thread, message 11 (a callback may return it later, but has to); see K22

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

      expected: page 48 of GFN 0 returned to the host, as it asked
      seen:     the guest still has it
           (found at the end: all actors have finished, are blocked or loop)
      hint: Look for an unmap that ends early: an error ignored, an entry skipped, or a callback that
           gives up.

      scenario: v0: read 0 | h0: unmap 0
      replay: sept show forgets --module 1.5 'v0: read 0 | h0: unmap 0'"
    `);
  });

  test('a report of a deadlock shows the last rows of each actor', () => {
    const keeps: Policy = {
      ...mirrorNaive,
      name: 'keeps',
      *unmap(vm) {
        yield* vm.mmuLock.readLock();
        yield* vm.mmuLock.writeLock();
      },
    };
    expect(reportOf(keeps, 'v0: read 0 | h0: unmap 0')).toMatchInlineSnapshot(`
      "S07: No actor waits for ever; locks, read sections and the guest are left by the actor that entered
      them, before it ends.
      source: Linux, Documentation/locking/lockdep-design.rst, Documentation/virt/kvm/locking.rst; see K4,
           K42 and K57

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
           (found at the end: all actors have finished, are blocked or loop)
      hint: Compare the lock order of the actors in the report, and look for a return that skips an
           unlock, or a wait inside a lock or read section.

      scenario: v0: read 0 | h0: unmap 0
      replay: sept show keeps --module 1.5 'v0: read 0 | h0: unmap 0'"
    `);
  });

  test('no line of a report is longer than 100 columns', () => {
    for (const policy of POLICIES.filter(({ breaks }) => breaks.length > 0)) {
      const { counterexamples } = check({ policy, module: '1.5', seed: 2, runs: 120 });
      for (const { report } of counterexamples) {
        for (const line of report.text.split('\n'))
          expect(line.length).toBeLessThanOrEqual(COLUMNS);
      }
    }
  });
});
