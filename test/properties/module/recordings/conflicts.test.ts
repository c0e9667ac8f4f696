/** The judge of pair recordings: it reports nothing for the real module, and every alteration. */
import { describe, expect, test } from 'vitest';
import { ConflictsJudge } from '../../../../properties/module/recordings/conflicts/conflicts.ts';
import {
  parseCell,
  readCells,
  type RecordedCell,
} from '../../../../properties/module/recordings/conflicts/format.ts';
import { builtTds, Testbed } from '../../../../properties/module/recordings/setups/testbed.ts';
import { conflict, lifecycle, order, step, summary, type Fields } from './cells.ts';
import { runExperiment, type Experiment } from './experiments.ts';
import { withPair } from './pairs.ts';
import { ACCEPT, haltsAtAnyPoint, ourAcceptRace, ourRace, type Races } from './races.ts';
import { RECORDED_MODULES, recordedJson, testWith } from './recorded.ts';

const judge = new ConflictsJudge();
const testbed = new Testbed(builtTds, '1.5.01');

describe('recordings of the real module', () => {
  const COMMON = [
    'conflicts.json',
    'lifecycle-conflicts.json',
    'stepwise.jsonl.gz',
    'commit-order.jsonl.gz',
    'locks.json',
    'lifecycle-locks.json',
  ] as const;
  const FILES = {
    '1.0.03': [...COMMON, 'stepwise-cas.jsonl.gz', 'stepwise-reads.jsonl.gz'],
    '1.5.01': COMMON,
    '1.5.05': [...COMMON, 'locks-full.json', 'lifecycle-conflicts-new.json'],
  } as const;
  for (const module of RECORDED_MODULES) {
    for (const name of FILES[module]) {
      const title = `the specification agrees with every cell of ${name} of module ${module}`;
      const body = async (path: string): Promise<void> => {
        const { cells } = await readCells(path);
        console.log(`${module}, ${name}: ${cells.length} cells`);
        expect(cells.length).toBeGreaterThan(0);
        const { differing, differences } = new ConflictsJudge(module).judge(cells, 5);
        expect(differences).toEqual([]);
        expect(differing).toBe(0);
      };
      testWith(name, title, body, module);
    }
  }

  testWith(
    'conflicts.json',
    'the specification agrees with the experiments on host priority and lock words',
    () => {
      // testWith has found the file
      const { experiments } = recordedJson('conflicts.json') as { experiments: Experiment[] };
      for (const experiment of experiments) {
        const mark = testbed.mark();
        const known = withoutTimeout(experiment);
        const ours = runExperiment(testbed, known);
        expect(ours, experiment.name).toMatchObject(known.sequence);
        testbed.undo(mark);
      }
      console.log(`conflicts.json: ${experiments.length} experiments`);
      expect(experiments.length).toBeGreaterThan(0);
    },
  );

  testWith(
    'races.json',
    'a call that trusts the entry of a suspended PAGE.AUG stops the platform',
    () => {
      const races = recordedJson('races.json') as Races; // testWith has found the file
      for (const race of races.augSuspensionPoint)
        expect(ourRace(testbed, race), `${race.y}, ${race.name}`).toEqual(race);
      expect(races.augSuspensionPoint.length).toBeGreaterThan(0);
    },
  );

  testWith(
    'races.json',
    'an ACCEPT that walked before PAGE.AUG reports the right size as a mismatch',
    () => {
      const { unmodified } = recordedJson('races.json') as Races; // testWith has found the file
      const accepts = unmodified.filter((race) => race.acceptStatus !== undefined);
      for (const race of accepts) expect(ourAcceptRace(testbed, race)).toEqual(race);
      expect(accepts.length).toBeGreaterThan(0);
    },
  );

  testWith(
    'races.json',
    'PAGE.AUG and PAGE.REMOVE can halt exactly where they did on the module',
    () => {
      const { unmodified } = recordedJson('races.json') as Races; // testWith has found the file
      const running = unmodified.filter((race) => race.moduleHalt !== undefined);
      for (const { name, moduleHalt, haltIn } of running) {
        // two threads at full speed hit the window only in INITIALIZED; with a pause, in both
        const halts = haltsAtAnyPoint(
          testbed,
          name.endsWith('INITIALIZED') ? 'INITIALIZED' : 'RUNNABLE',
        );
        expect(halts).toEqual(['TDH.MEM.PAGE.REMOVE']);
        if (moduleHalt === true) expect(halts).toContain(haltIn);
      }
      expect(running.length).toBeGreaterThan(0);
    },
  );
});

/** Drops the exit for HP_LOCK_TIMEOUT, which counts ticks: the specification has no clock. */
const withoutTimeout = ({ name, sequence }: Experiment): Experiment => ({
  name,
  sequence: sequence.filter(({ status }) => status !== '(TD_EXIT 0)'),
});

const cell = (fields: Fields): RecordedCell => parseCell('own', fields);
const found = (fields: Fields): string[] =>
  judge
    .judge([cell(fields)], 20)
    .differences.map(({ field, recorded, ours }) => `${field}: ${recorded} / ${ours}`);

describe('an altered cell', () => {
  test.each([
    ['conflict', conflict],
    ['lifecycle', lifecycle],
    ['step', step],
    ['summary', summary],
    ['order', order],
  ])('the judge reports nothing for an unaltered cell: %s', (_kind, make) =>
    expect(found(make())).toEqual([]),
  );

  const ALTERATIONS: [string, Fields, string[]][] = [
    [
      'the status of Y',
      { ...conflict(), yStatus: 'TDX_OPERAND_BUSY|RCX' },
      ['yStatus: TDX_OPERAND_BUSY|RCX / TDX_OPERAND_BUSY|SEPT_TREE'],
    ],
    [
      'the lock that refused Y',
      { ...conflict(), yFailedLock: 'TD0.TD_EPOCH', yFailedLockKind: 'SHARED' },
      ['yFailedLock: TD0.TD_EPOCH / TD0.SEPT_TREE', 'yFailedLockKind: SHARED / EXCLUSIVE'],
    ],
    [
      'the status of Y alone',
      { ...conflict(), yAlone: 'TDX_SUCCESS' },
      ['yAlone: TDX_SUCCESS / TDX_EPT_ENTRY_STATE_INCORRECT|RCX'],
    ],
    ['the number of locks', { ...conflict(), xLocksHeldAtPause: 8 }, ['xLocksHeldAtPause: 8 / 9']],
    [
      'the entry while X is suspended',
      { ...conflict(), entryWhilePaused: '0x80f0000000000800' },
      ['entryWhilePaused: 0x80f0000000000800 / 0x80e0000000000800'],
    ],
    [
      'the entry at the end',
      { ...conflict(), entryAfter: '0x81000001003810f0' },
      ['entryAfter: 0x81000001003810f0 / 0x81000001003800f0'],
    ],
    [
      'the status of X',
      { ...lifecycle(), xStatusAfterResume: 'TDX_HKID_NOT_FREE', xChanged: true },
      ['xStatusAfterResume: TDX_HKID_NOT_FREE / TDX_SUCCESS', 'xChanged: true / false'],
    ],
    [
      'the event',
      { ...step(), xEventIndex: 27 },
      [
        'xEvent.event: afterWrite / afterAcquire',
        'xEvent.what: SEPT_ENTRY[page=0x100202000,idx=0] / PAMT_4K[0x100380000]',
        'xEvent.old: 0x80e0000000000800 / absent',
        'xEvent.new: 0x81000001003800f0 / absent',
        'yStatus: MODULE_HALT / TDX_OPERAND_BUSY|RCX',
        'linearizable: false / true',
        'entryAtPause: 0x81000001003800f0 / 0x80e0000000000800',
        'entryAfter: 0x81000001003808f0 / 0x81000001003800f0',
        'lockLeak: halted / false',
        'yFailedLock: absent / SEPT_ENTRY[page=0x100202000,idx=0]',
      ],
    ],
    [
      'an event beyond the last one of X',
      { ...step(), xEventIndex: 99 },
      [
        'xEvent.event: afterWrite / absent',
        'xEvent.what: SEPT_ENTRY[page=0x100202000,idx=0] / absent',
        'xEvent.old: 0x80e0000000000800 / absent',
        'xEvent.new: 0x81000001003800f0 / absent',
      ],
    ],
    [
      'a halt',
      { ...step(), yStatus: 'TDX_SUCCESS', linearizable: true, lockLeak: false },
      [
        'yStatus: TDX_SUCCESS / MODULE_HALT',
        'linearizable: true / false',
        'lockLeak: false / halted',
      ],
    ],
    [
      'a count',
      { ...summary(), unchanged: 17, rowsKept: 30 },
      ['unchanged: 17 / 16', 'rowsKept: 30 / 31'],
    ],
    [
      'the order',
      { ...order(), events: (order()['events'] as Fields[]).toReversed() },
      [
        // made above
        'events[0].i: 14 / 3',
        'events[0].event: beforeRelease / afterAcquire',
        'events[1].i: 12 / 6',
        'events[1].event: beforeRelease / afterAcquire',
        'events[2].i: 10 / 9',
        'events[2].event: beforeRelease / afterAcquire',
        'events[3].i: 9 / 10',
        'events[3].event: afterAcquire / beforeRelease',
        'events[4].i: 6 / 12',
        'events[4].event: afterAcquire / beforeRelease',
        'events[5].i: 3 / 14',
        'events[5].event: afterAcquire / beforeRelease',
      ],
    ],
    [
      'an unknown relation',
      { ...conflict(), relation: 'farAway' },
      ['set-up: built / there is no set-up for the relation farAway'],
    ],
    [
      'an unknown function',
      { ...conflict(), y: 'TDH.MEM.PAGE.FLY' },
      ['set-up: built / there is no set-up for TDH.MEM.PAGE.FLY'],
    ],
    [
      'an unknown entry',
      { ...conflict(), xEntry: 'EXPORTED_DIRTY@L0' },
      ['set-up: built / there is no set-up for an entry EXPORTED_DIRTY@L0'],
    ],
    [
      'an unknown stage',
      { ...lifecycle(), tdStageX: 'BORN' },
      ['set-up: built / there is no set-up for the stage BORN'],
    ],
    [
      'an impossible state',
      { ...conflict(), x: ACCEPT, opState: 'INITIALIZED', xEntry: 'PENDING@L0' },
      ['set-up: built / TDH.VP.ENTER answers TDX_OP_STATE_INCORRECT during the set-up'],
    ],
  ];
  test.each(ALTERATIONS)(
    'the judge reports exactly the altered field: %s',
    (_what, fields, expected) => {
      expect(found(fields)).toEqual(expected);
    },
  );

  test('a cell counts once, however many of its fields differ', () => {
    const cells = [
      conflict(),
      { ...conflict(), yStatus: 'TDX_SUCCESS', yFailedLock: null },
      lifecycle(),
    ].map((fields, i) => parseCell(`cell ${i}`, fields));
    const judged = judge.judge(cells, 1);
    expect(judged).toMatchObject({
      cells: 3,
      differing: 1,
      differences: [{ where: 'cell 1', field: 'yStatus' }],
    });
  });
});

describe('a set-up that no recording has', () => {
  test.each([
    ['BLOCKED@L0', 'TDX_TLB_TRACKING_NOT_DONE|RCX'],
    ['BLOCKED(tracked)@L0', 'TDX_SUCCESS'],
  ])('PAGE.REMOVE of an entry that is %s answers %s', (entry, status) => {
    withPair(testbed, { x: 'TDH.MEM.PAGE.REMOVE', y: 'TDH.MEM.SEPT.RD', entry }, ({ xAlone }) => {
      expect(xAlone).toBe(status);
    });
  });

  test('a set-up leaves nothing on the testbed', () => {
    const mark = testbed.mark();
    const entry = 'NL_BLOCKED(tracked,512xPENDING)@L1';
    withPair(
      testbed,
      { x: 'TDH.MEM.PAGE.PROMOTE', y: 'TDH.MEM.PAGE.REMOVE', entry },
      (measured) => {
        const before = measured.entryBefore;
        expect(measured.pausedAt(measured.trace?.lastAcquire ?? 0).entryAfter).not.toBe(before);
        expect(measured.entryBefore).toBe(before);
      },
    );
    expect(testbed.mark()).toBe(mark);
  });
});
