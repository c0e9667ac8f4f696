/**
 * The non-atomic behaviours of module 1.5 (docs/module-notes.md#non-atomic-behaviour), which random
 * programs of raw calls find without being aimed at them: F1 breaks rule T15, F2 breaks rule T07.
 */
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { atomically, kindOf, TRY } from '../../../spec/machine/step.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { PENDING, stateName, stateOf } from '../../../spec/tdx/entry.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus, SUCCESS } from '../../../spec/tdx/status.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { CallExplorer, explore } from '../../support/call-explorer.ts';
import { operationCount } from '../../support/operation-count.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import { onePreemption, runUntil } from './schedules.ts';

const SEEDS = [3, 4];
const RUNS = 16_000;

interface Race {
  readonly rule: string;
  readonly seen: RegExp;
  readonly calls: RegExp;
}

/** ACCEPT decides "is it a leaf?" on the value from before its lock; PAGE.AUG ran in between. */
const F1: Race = { rule: 'T15', seen: /^PENDING/, calls: /accept \d.*aug|aug.*accept \d/ };
/** PAGE.AUG publishes the entry, unlocked, before PAMT; a call that trusts the entry halts. */
const F2: Race = { rule: 'T07', seen: /halted/, calls: /aug.*(remove|relocate|demote)/ };

const EXPECTED: readonly (readonly [ModuleVersion, string, readonly Race[]])[] = [
  ['1.5', 'RUNNABLE', [F2, F1]],
  ['1.5', 'INITIALIZED', [F2]],
  ['1.0', 'RUNNABLE', []],
  ['1.0', 'INITIALIZED', []],
];

describe.for(SEEDS)('random raw calls, seed %i', (seed) => {
  test.for(EXPECTED)(
    'random raw calls find only the known races in module %s, TD %s',
    ([module, opState, races]) => {
      const counterexamples = explore({
        module,
        finalize: opState === 'RUNNABLE',
        seed,
        runs: RUNS,
      });
      expect([...counterexamples.keys()].toSorted()).toEqual(races.map(({ rule }) => rule));
      for (const { rule, seen, calls } of races) {
        const counterexample = counterexamples.get(rule);
        expect(counterexample?.violation.seen).toMatch(seen);
        expect(counterexample?.text).toMatch(calls);
        // two calls, one preemption: as short as the race is
        const shrunk = parseScenario(counterexample?.text ?? '');
        expect(operationCount(shrunk)).toBeLessThanOrEqual(3);
        expect(shrunk.deviations).toHaveLength(1);
      }
    },
  );
});

/** The entry of GFN 0 at a level. */
const entryOf = (rig: TdRig, level: number): number => {
  const table = tableAt(rig.tdx, TDR, 0, level);
  return rig.m.peek(rig.memory.word(table, 0));
};

const statusOf = (call: Call): string => describeStatus(call.status);

describe('F1, step by step', () => {
  test.for([0, 1])(
    'ACCEPT at level %i that races PAGE.AUG gets PAGE_SIZE_MISMATCH, and succeeds when repeated',
    (level) => {
      const rig = new TdRig({ module: '1.5' });
      rig.addTables(0, level + 1);
      rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(0)) });
      const operands = { rcx: rig.mapping(0, level).rcx, vcpu: rig.tdvpr(0), interruptAfter: -1 };
      const accept = rig.invoke('TDG.MEM.PAGE.ACCEPT', operands);
      runUntil(accept, (announced) => kindOf(announced) === TRY);
      rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, level), r8: rig.address(rig.pageOf(0)) });
      expect(statusOf(atomically(accept))).toBe(`TDX_PAGE_SIZE_MISMATCH|level ${level}`);
      expect(stateName(stateOf(entryOf(rig, level)))).toBe('PENDING');
      expect(statusOf(rig.call('TDG.MEM.PAGE.ACCEPT', operands))).toBe('TDX_SUCCESS');
    },
  );
});

describe('F2, step by step', () => {
  /** The status of a call on the same GPA after PAGE.AUG has written the entry and before PAMT. */
  const during = (rig: TdRig, level: number, name: string, page: number): [string, string] => {
    rig.addTables(0, level + 1);
    const aug = rig.invoke('TDH.MEM.PAGE.AUG', {
      ...rig.mapping(0, level),
      r8: rig.address(rig.pageOf(0)),
    });
    runUntil(aug, () => stateOf(entryOf(rig, level)) === PENDING);
    const other = rig.call(name, { ...rig.mapping(0, level), r8: rig.address(page) });
    return [statusOf(other), statusOf(atomically(aug))];
  };

  const ANSWERS: readonly (readonly [string, number, string])[] = [
    ['TDH.MEM.PAGE.REMOVE', 0, 'MODULE_HALT'],
    ['TDH.MEM.PAGE.RELOCATE', 0, 'MODULE_HALT'],
    ['TDH.MEM.PAGE.DEMOTE', 1, 'MODULE_HALT'],
    ['TDH.MEM.SEPT.RD', 0, 'TDX_SUCCESS'],
    ['TDH.MEM.RANGE.BLOCK', 0, 'TDX_OPERAND_BUSY|SEPT_TREE'],
  ];
  describe.for([false, true])('finalized: %s', (finalize) => {
    test.for(ANSWERS)('%s at level %i during PAGE.AUG returns %s', ([name, level, answer]) => {
      const rig = new TdRig({ module: '1.5', finalize });
      expect(during(rig, level, name, rig.sparePage(0))).toEqual([answer, 'TDX_SUCCESS']);
    });
    test.for(ANSWERS)(
      '%s at level %i during PAGE.AUG of version 1.0 finds the tree locked',
      ([name, level]) => {
        const rig = new TdRig({ module: '1.0', finalize });
        expect(during(rig, level, name, rig.sparePage(0))).toEqual([
          'TDX_OPERAND_BUSY|SEPT_TREE',
          'TDX_SUCCESS',
        ]);
      },
    );
  });
});

/**
 * Finding F6, a consequence of measured facts: while the TD is being built PROMOTE requires no
 * tracking, so it can free a table that another call has already walked to. The entries of the
 * freed table stay locked until SEPT.ADD reuses the page.
 */
describe('a call on its way through a table that PROMOTE frees', () => {
  const rulesBroken = (module: ModuleVersion, finalize: boolean, text: string): string[] => {
    const explorer = new CallExplorer({ module, finalize });
    let promoted = 0;
    explorer.rig.tdx.listeners.push({
      ended: ({ name }, status) => {
        if (name === 'TDH.MEM.PAGE.PROMOTE' && status === SUCCESS) promoted++;
      },
    });
    const violations = [...onePreemption(parseScenario(text))].map((scenario) =>
      explorer.run(scenario),
    );
    expect(promoted).toBeGreaterThan(0);
    return [...new Set(violations.flatMap((violation) => violation?.rule ?? []))];
  };
  const reused = 'h0: aug 0; aug 1; remove 0 | h1: promote 0; sept-add-other 2; aug 2';

  test('a call into a freed table is refused while the page is unused', () => {
    expect(rulesBroken('1.5', false, 'h0: aug 0; aug 1; remove 0 | h1: promote 0')).toEqual([]);
  });
  test('a call into a freed table breaks T02 in 1.5 once the page is a table again', () => {
    expect(rulesBroken('1.5', false, reused)).toEqual(['T02']);
  });
  test('a running TD excludes it: RANGE.BLOCK, which must come first, finds the tree busy', () => {
    const blocked = reused.replace('promote 0', 'block-huge 0; track 0; promote 0');
    expect(rulesBroken('1.5', true, blocked)).toEqual([]);
  });
});
