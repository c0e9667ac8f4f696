/**
 * The non-atomic behaviours of module 1.5 come out of random programs of raw calls by themselves:
 * nothing below aims at them. Both are measured on the real module (`races.json` of the
 * recordings): F1 is rule T15, F2 is rule T07.
 */
import { describe, expect, test } from 'vitest';
import { operationCount } from '../../../properties/checker/scenarios/scenario.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { atomically, kindOf, TRY } from '../../../spec/machine/step.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { PENDING, stateName, stateOf } from '../../../spec/tdx/entry.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus, SUCCESS } from '../../../spec/tdx/status.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions.ts';
import { CallExplorer, explore } from '../../support/call-explorer.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import { onePreemption, runUntil } from './schedules.ts';

const SEEDS = [3, 4];
const RUNS = 16_000;

interface Race {
  readonly rule: string;
  readonly seen: RegExp;
  readonly calls: RegExp;
}

/** ACCEPT decides "is it a leaf?" on what it read before it had the lock; PAGE.AUG came between. */
const F1: Race = { rule: 'T15', seen: /^PENDING/, calls: /accept \d.*aug|aug.*accept \d/ };
/**
 * PAGE.AUG publishes the entry, unlocked, before PAMT says REG; a call that trusts the entry halts
 * the module.
 */
const F2: Race = { rule: 'T07', seen: /halted/, calls: /aug.*(remove|relocate|demote)/ };

const EXPECTED: readonly (readonly [ModuleVersion, string, readonly Race[]])[] = [
  ['1.5', 'RUNNABLE', [F2, F1]],
  ['1.5', 'INITIALIZED', [F2]],
  ['1.0', 'RUNNABLE', []],
  ['1.0', 'INITIALIZED', []],
];

describe.for(SEEDS)('random raw calls, seed %i', (seed) => {
  test.for(EXPECTED)(
    'module %s, TD %s: the known races, and nothing else',
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
const entryOf = (w: TdRig, level: number): number => {
  const table = tableAt(w.tdx, TDR, 0, level);
  return w.m.peek(w.memory.word(table, 0));
};

const statusOf = (call: Call): string => describeStatus(call.status);

describe('F1, step by step', () => {
  test.for([0, 1])(
    'ACCEPT at level %i of a page added meanwhile: PAGE_SIZE_MISMATCH, then SUCCESS',
    (level) => {
      const w = new TdRig({ module: '1.5' });
      w.addTables(0, level + 1);
      w.must('TDH.VP.ENTER', { rcx: w.address(w.tdvpr(0)) });
      const operands = { rcx: w.mapping(0, level).rcx, vcpu: w.tdvpr(0), interruptAfter: -1 };
      const accept = w.invoke('TDG.MEM.PAGE.ACCEPT', operands);
      runUntil(accept, (announced) => kindOf(announced) === TRY);
      w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, level), r8: w.address(w.pageOf(0)) });
      expect(statusOf(atomically(accept))).toBe(`TDX_PAGE_SIZE_MISMATCH|level ${level}`);
      expect(stateName(stateOf(entryOf(w, level)))).toBe('PENDING');
      expect(statusOf(w.call('TDG.MEM.PAGE.ACCEPT', operands))).toBe('TDX_SUCCESS');
    },
  );
});

describe('F2, step by step', () => {
  /** What a call on the same GPA says while PAGE.AUG has written the entry and not yet PAMT. */
  const during = (w: TdRig, level: number, name: string, page: number): [string, string] => {
    w.addTables(0, level + 1);
    const aug = w.invoke('TDH.MEM.PAGE.AUG', {
      ...w.mapping(0, level),
      r8: w.address(w.pageOf(0)),
    });
    runUntil(aug, () => stateOf(entryOf(w, level)) === PENDING);
    const other = w.call(name, { ...w.mapping(0, level), r8: w.address(page) });
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
    test.for(ANSWERS)('%s at level %i answers %s', ([name, level, answer]) => {
      const w = new TdRig({ module: '1.5', finalize });
      expect(during(w, level, name, w.sparePage(0))).toEqual([answer, 'TDX_SUCCESS']);
    });
    test.for(ANSWERS)('in version 1.0, %s at level %i finds the tree locked', ([name, level]) => {
      const w = new TdRig({ module: '1.0', finalize });
      expect(during(w, level, name, w.sparePage(0))).toEqual([
        'TDX_OPERAND_BUSY|SEPT_TREE',
        'TDX_SUCCESS',
      ]);
    });
  });
});

/**
 * Not measured, but a consequence of what is: while the TD is being built PROMOTE asks for no
 * tracking, so that it frees a table with a call still on its way through it. The entries of the
 * freed table stay locked, until SEPT.ADD uses its page again.
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

  test('is refused as long as the page is nothing else', () => {
    expect(rulesBroken('1.5', false, 'h0: aug 0; aug 1; remove 0 | h1: promote 0')).toEqual([]);
  });
  test('removes a page elsewhere in the tree once the page is a table again: T02, in 1.5 only', () => {
    expect(rulesBroken('1.5', false, reused)).toEqual(['T02']);
    expect(rulesBroken('1.0', false, reused)).toEqual([]);
  });
  test('is not possible once the TD runs: RANGE.BLOCK, which has to come first, waits for the call', () => {
    const blocked = reused.replace('promote 0', 'block-huge 0; track 0; promote 0');
    expect(rulesBroken('1.5', true, blocked)).toEqual([]);
  });
});
