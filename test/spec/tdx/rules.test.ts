/**
 * Every T rule is broken by a module with one thing changed; the correct one puts it to the test,
 * and keeps it.
 */
import { describe, expect, test } from 'vitest';
import { decode, tapeLength } from '../../../properties/checker/scenarios/arbitrary.ts';
import type { ActorRole } from '../../../properties/checker/scenarios/scenario.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { RuleBook } from '../../../spec/machine/monitor.ts';
import type { Violation } from '../../../spec/machine/rule.ts';
import { TDX_RULES } from '../../../spec/tdx/rules/index.ts';
import { MODULE_VERSIONS, type ModuleVersion } from '../../../spec/tdx/versions.ts';
import { CALL_SHAPE, CallExplorer, type ExploreOptions } from '../../support/call-explorer.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import { Seeded } from '../machine/support.ts';
import * as faulty from './faulty.ts';
import { onePreemption } from './schedules.ts';
import { HKID, hpa, Stage, TD_PARAMS } from './stage.ts';

type Setting = Pick<ExploreOptions, 'module' | 'finalize'>;
type Change = Pick<ExploreOptions, 'functions' | 'create'>;

const RUNNING: Setting = { module: '1.5' };
const BUILDING: Setting = { module: '1.5', finalize: false };
const RUNNING_1_0: Setting = { module: '1.0' };

/**
 * Where no two calls have to overlap: the rule, what is wrong, the change, and a scenario that
 * shows it.
 */
const SEQUENTIAL: readonly (readonly [string, string, Change, Setting, string])[] = [
  [
    'T01',
    'RANGE.BLOCK makes a PENDING page BLOCKED',
    { functions: [faulty.blockAcceptsPages] },
    RUNNING,
    'h0: aug 0; block 0',
  ],
  [
    'T01',
    'PAGE.REMOVE does not ask a running TD to block',
    { functions: [faulty.removeIgnoresBlocking] },
    RUNNING,
    'h0: aug 0; remove 0',
  ],
  [
    'T01',
    'RANGE.BLOCK writes into the entry beside its own',
    { functions: [faulty.blockHitsNeighbour] },
    RUNNING,
    'h0: aug 0; block 0',
  ],
  [
    'T01',
    'SEPT.RD marks what it reads',
    { functions: [faulty.readMarksEntry] },
    RUNNING,
    'h0: aug 0; sept-rd 0',
  ],
  [
    'T02',
    'PAGE.AUG takes a wrong turn on its way',
    { functions: [faulty.augInOtherTable] },
    RUNNING,
    'h0: sept-add 2; aug 0',
  ],
  [
    'T03',
    'SEPT.REMOVE does not look at the children',
    { functions: [faulty.septRemoveIgnoresChildren] },
    BUILDING,
    'h0: add 1; sept-remove 0; remove 1; sept-remove 0',
  ],
  [
    'T04',
    'PAGE.AUG forgets the owner',
    { functions: [faulty.augForgetsOwner] },
    RUNNING,
    'h0: aug 0',
  ],
  [
    'T04',
    'PAGE.AUG takes a page that is in use',
    { functions: [faulty.augTakesAnyPage] },
    RUNNING,
    'h0: aug-other 1; aug 0',
  ],
  [
    'T04',
    'PAGE.RELOCATE keeps the old page',
    { functions: [faulty.relocateKeepsOldPage] },
    BUILDING,
    'h0: add 0; relocate 0',
  ],
  [
    'T05',
    'PAGE.REMOVE skips tracking',
    { functions: [faulty.removeSkipsTracking] },
    RUNNING,
    'h0: aug 0; idle 0; block 0; track 0; remove 0; idle 0; remove 0 | v0: accept 0; idle 0; leave 0; idle 0; idle 0',
  ],
  [
    'T05',
    'VP.ENTER forgets to flush',
    { functions: [faulty.enterForgetsFlush] },
    RUNNING,
    'h0: aug 0; idle 0; block 0; track 0; idle 0; remove 0 | v0: accept 0; idle 0; leave 0; idle 0; idle 0',
  ],
  [
    'T06',
    'TRACK does not wait',
    { functions: [faulty.trackDoesNotWait] },
    RUNNING,
    'h0: idle 0; track 0; track 0 | v0: idle 0; idle 0',
  ],
  [
    'T06',
    'VP.ENTER does not count the vCPU',
    { functions: [faulty.enterDoesNotCount] },
    RUNNING,
    'v0: touch 0',
  ],
  [
    'T07',
    'PAGE.REMOVE stops the platform for a wrong state',
    { functions: [faulty.removeHalts] },
    RUNNING,
    'h0: remove 0',
  ],
  [
    'T08',
    'PAGE.REMOVE does not count the page out',
    { functions: [faulty.removeDoesNotCount] },
    BUILDING,
    'h0: add 0; remove 0',
  ],
  [
    'T09',
    'PAGE.AUG keeps the tree',
    { functions: [faulty.augKeepsTree] },
    RUNNING,
    'h0: aug 0; idle 0; aug 1 | v0: idle 0; idle 0',
  ],
  [
    'T10',
    'PAGE.AUG does not lock its entry',
    { functions: [faulty.augWithoutEntryLock] },
    RUNNING,
    'h0: aug 0',
  ],
  [
    'T10',
    'RANGE.BLOCK shares the tree',
    { functions: [faulty.blockSharesTree] },
    RUNNING,
    'h0: aug 0; block 0',
  ],
  ['T10', 'PAGE.ADD shares the TDR', { functions: [faulty.addSharesTdr] }, BUILDING, 'h0: add 0'],
  [
    'T14',
    'ACCEPT does not zero the page',
    { functions: [faulty.acceptDoesNotZero] },
    RUNNING,
    'h0: aug 0; idle 0 | v0: accept 0',
  ],
  [
    'T15',
    'ACCEPT mistakes accepted for another size',
    { functions: [faulty.acceptMistakesSize] },
    RUNNING,
    'h0: aug 0; idle 0 | v0: accept 0; accept 0; accept-huge 0',
  ],
  [
    'T16',
    'MEM.RD reads a production TD',
    { functions: [faulty.readOfProductionTd] },
    RUNNING,
    'h0: aug 0; idle 0; read 0 | v0: accept 0; idle 0',
  ],
];

describe('one call after the other', () => {
  for (const [rule, fault, change, setting, text] of SEQUENTIAL) {
    test(`${rule} is broken where ${fault}, and only there`, () => {
      expect(new CallExplorer({ ...setting, ...change }).run(parseScenario(text))?.rule).toBe(rule);
      const correct = new CallExplorer(setting);
      expect(correct.run(parseScenario(text))).toBeNull();
      expect(correct.book.timesExercised(rule)).toBeGreaterThan(0);
    });
  }
});

/** What module 1.5 breaks by itself: findings F2 and F1 (races.test.ts). */
const KNOWN: Readonly<Record<ModuleVersion, readonly string[]>> = {
  '1.5': ['T07', 'T15'],
  '1.0': [],
};

/** The rules that a program breaks: with one preemption, wherever, and where each step is anybody's. */
function broken(explorer: CallExplorer, text: string): string[] {
  const scenario = parseScenario(text);
  const violations = [...onePreemption(scenario)].map((preempted) => explorer.run(preempted));
  for (let seed = 0; seed < SEEDS; seed++)
    violations.push(explorer.run(scenario, new Seeded(seed)));
  return [...new Set(violations.flatMap((violation) => violation?.rule ?? []))];
}

const SEEDS = 300;

/** Where it takes two calls at once. */
const CONCURRENT: readonly (readonly [string, string, Change, Setting, string])[] = [
  [
    'T07',
    'PROMOTE leaves the entries of the freed table unlocked',
    { functions: [faulty.promoteUnlocksChildren] },
    BUILDING,
    'h0: aug 0; aug 1; remove 0 | h1: promote 0',
  ],
  [
    'T09',
    'no lock excludes anybody',
    { create: faulty.nobodyExcluded },
    RUNNING_1_0,
    'h0: aug 0 | h1: aug 0',
  ],
  [
    'T11',
    'the tree remembers readers that it has refused',
    { create: faulty.readersNeverForgotten },
    RUNNING_1_0,
    'h0: block 0; block 0 | h1: sept-rd 0; sept-rd 0',
  ],
  [
    'T11',
    'RANGE.BLOCK of 1.0 is always busy',
    { functions: [faulty.blockIsAlwaysBusy] },
    RUNNING_1_0,
    'h0: aug 0; block 0 | v0: idle 0; accept 0',
  ],
  [
    'T12',
    'ACCEPT acts on what it read before it had the lock',
    { functions: [faulty.acceptActsOnOldEntry] },
    RUNNING,
    'h0: aug 0; idle 0; block 0 | v0: accept 0',
  ],
  [
    'T12',
    'ACCEPT reports an update that it has not made',
    { functions: [faulty.acceptLosesUpdate] },
    RUNNING_1_0,
    'h0: aug 0; block 0 | v0: idle 0; accept 0',
  ],
  [
    'T13',
    'ACCEPT does not see that a host asks',
    { functions: [faulty.acceptIgnoresPriority] },
    RUNNING,
    'h0: aug 0; sept-rd 0 | v0: idle 0; accept 0; accept 0; accept 0',
  ],
  [
    'T13',
    'a refused PAGE.REMOVE does not ask for priority',
    { functions: [faulty.removeDoesNotAsk] },
    RUNNING,
    'h0: aug 0; remove 0 | v0: idle 0; accept 0',
  ],
];

describe('calls at the same time', () => {
  for (const [rule, fault, change, setting, text] of CONCURRENT) {
    test(`${rule} is broken where ${fault}, and only there`, () => {
      const correct = new CallExplorer(setting);
      const always = broken(correct, text);
      expect(KNOWN[setting.module]).toEqual(expect.arrayContaining(always));
      const changed = broken(new CallExplorer({ ...setting, ...change }), text);
      expect(changed.filter((id) => !always.includes(id))).toEqual([rule]);
      expect(correct.book.timesExercised(rule)).toBeGreaterThan(0);
    });
  }

  test('every rule has a module that breaks it', () => {
    const rules = new Set([...SEQUENTIAL, ...CONCURRENT].map(([rule]) => rule));
    expect([...rules].toSorted()).toEqual(TDX_RULES.map(({ id }) => id));
  });
});

describe('what the explored platform has not', () => {
  /** Tears the TD down with T08 watching; what it says. */
  function tearDown(change: Change): Violation | null {
    const w = new TdRig({ module: '1.5', ...change });
    const book = new RuleBook(
      w.m,
      w.tdx,
      TDX_RULES.filter(({ id }) => id === 'T08'),
    );
    for (const lp of [0, 1]) w.must('TDH.VP.FLUSH', { rcx: w.address(w.tdvpr(lp)), lp });
    w.must('TDH.MNG.VPFLUSHDONE', { rcx: w.address(TDR) });
    w.must('TDH.PHYMEM.CACHE.WB');
    w.must('TDH.MNG.KEY.FREEID', { rcx: w.address(TDR) });
    for (let page = w.tdvpr(0); page < w.tdvpr(1); page++)
      w.must('TDH.PHYMEM.PAGE.RECLAIM', { rcx: w.address(page) });
    expect(book.timesExercised('T08')).toBeGreaterThan(0);
    return w.m.violation;
  }
  test('T08 is broken where a torn down TD forgets to count pages out, and only there', () => {
    expect(tearDown({})).toBeNull();
    expect(tearDown({ functions: [faulty.reclaimDoesNotCount] })?.rule).toBe('T08');
  });

  test('T05 is about vCPUs of the same TD: another one, still being built, loses pages as it likes', () => {
    const stage = new Stage();
    stage.build();
    const book = new RuleBook(stage.tdx.m, stage.tdx, TDX_RULES);
    stage.enter(0);
    const [other, firstTable, page] = [28, 40, 44];
    stage.create(other, HKID + 1);
    stage.ok('TDH.MNG.INIT', { rcx: hpa(other), rdx: 0, tdParams: TD_PARAMS });
    for (const level of [3, 2, 1]) {
      stage.ok('TDH.MEM.SEPT.ADD', { rcx: level, rdx: hpa(other), r8: hpa(firstTable + level) });
    }
    stage.ok('TDH.MEM.PAGE.ADD', { rcx: 0, rdx: hpa(other), r8: hpa(page), r9: 0 });
    stage.ok('TDH.MEM.PAGE.REMOVE', { rcx: 0, rdx: hpa(other) });
    book.atRest();
    expect(stage.tdx.m.violation).toBeNull();
    expect(book.timesExercised('T05')).toBe(0);
  });
});

/** Few pages and many calls on them, so that they meet in deep states. */
const BUSY: Readonly<Record<ActorRole, readonly string[]>> = {
  host: [
    'aug',
    'aug',
    'aug-other',
    'aug-huge',
    'add',
    'remove',
    'remove',
    'relocate',
    'block',
    'block',
    'block',
    'block-huge',
    'track',
    'track',
    'track',
    'unblock',
    'unblock-huge',
    'promote',
    'demote',
    'sept-add',
    'sept-remove',
    'read',
    'extend',
    'idle',
  ],
  vcpu: ['accept', 'accept', 'accept-huge', 'touch', 'idle', 'leave', 'leave'],
};

describe('the specified module under random calls of three or four actors', () => {
  for (const module of MODULE_VERSIONS) {
    for (const finalize of [true, false]) {
      const opState = finalize ? 'RUNNABLE' : 'INITIALIZED';
      test(`${module}, ${opState}: breaks no rule but the known findings`, () => {
        const shape = {
          ...CALL_SHAPE,
          roles: ['host', 'vcpu', 'host', 'vcpu'] as const,
          operations: BUSY,
          gfns: 2,
          maxOperations: 24,
          maxDeviations: 0,
        };
        const explorer = new CallExplorer({ module, finalize });
        const found = new Set<string>();
        for (let seed = 0; seed < 2500; seed++) {
          const choices = new Seeded(seed);
          const tape = Uint8Array.from({ length: tapeLength(shape) }, () => choices.pick(256));
          const violation = explorer.run(decode(tape, shape), choices);
          if (violation !== null) found.add(violation.rule);
        }
        const known = KNOWN[module].filter((rule) => finalize || rule !== 'T15');
        expect([...found].toSorted()).toEqual(known);
        const exercised = explorer.book.rules.filter(
          ({ id }) => explorer.book.timesExercised(id) > 0,
        );
        const guest = finalize ? [] : ['T05', 'T14', 'T15'];
        const expected = explorer.book.rules.filter(({ id }) => !guest.includes(id));
        expect(exercised.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
      });
    }
  }
});
