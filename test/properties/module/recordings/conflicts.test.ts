/**
 * The judge of pair recordings: it finds nothing in what the real module did, and everything that
 * was altered.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../../../../properties/files/input.ts';
import {
  ConflictsJudge,
  judgeFile,
} from '../../../../properties/module/recordings/conflicts/conflicts.ts';
import {
  parseCell,
  readCells,
  type RecordedCell,
} from '../../../../properties/module/recordings/conflicts/format.ts';
import { BUILT_TDS, Testbed } from '../../../../properties/module/recordings/setups/testbed.ts';
import { sept } from '../../../cli/run.ts';
import { conflict, lifecycle, order, step, summary, type Fields } from './cells.ts';
import { runExperiment, type Experiment } from './experiments.ts';
import { withPair } from './pairs.ts';
import { ACCEPT, haltsAtAnyPoint, ourAcceptRace, ourRace, type Races } from './races.ts';
import { recordedJson, testWith } from './recorded.ts';

const judge = new ConflictsJudge();
const testbed = new Testbed(BUILT_TDS);

describe('recordings of the real module', () => {
  for (const name of [
    'conflicts.json',
    'lifecycle-conflicts.json',
    'stepwise.jsonl.gz',
    'commit-order.jsonl.gz',
  ]) {
    testWith(name, `every cell of ${name} comes out the same`, async (path) => {
      const cells = await readCells(path);
      console.log(`${name}: ${cells.length} cells`);
      expect(cells.length).toBeGreaterThan(0);
      const { differing, differences } = judge.judge(cells, 5);
      expect(differences).toEqual([]);
      expect(differing).toBe(0);
    });
  }

  testWith(
    'conflicts.json',
    'its experiments on host priority and lock words come out the same',
    () => {
      const { experiments } = recordedJson('conflicts.json') as { experiments: Experiment[] }; // testWith has found it
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
    'PAGE.AUG suspended between entry and PAMT: who trusts the entry stops the platform',
    () => {
      const races = recordedJson('races.json') as Races; // testWith has found it
      for (const race of races.augSuspensionPoint)
        expect(ourRace(testbed, race), `${race.y}, ${race.name}`).toEqual(race);
      expect(races.augSuspensionPoint.length).toBeGreaterThan(0);
    },
  );

  testWith(
    'races.json',
    'ACCEPT that walked before PAGE.AUG answers with a size that is right',
    () => {
      const { unmodified } = recordedJson('races.json') as Races; // testWith has found it
      const accepts = unmodified.filter((race) => race.acceptStatus !== undefined);
      for (const race of accepts) expect(ourAcceptRace(testbed, race)).toEqual(race);
      expect(accepts.length).toBeGreaterThan(0);
    },
  );

  testWith(
    'races.json',
    'free-running PAGE.AUG and PAGE.REMOVE can halt exactly where they did',
    () => {
      const { unmodified } = recordedJson('races.json') as Races; // testWith has found it
      const running = unmodified.filter((race) => race.moduleHalt !== undefined);
      for (const { name, moduleHalt, haltIn } of running) {
        // Two threads at full speed met the window only while the TD was INITIALIZED; with a pause it is there in both.
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

/**
 * HP_LOCK_TIMEOUT is counted in ticks, and the specification has no clock: the exit that it ends
 * with is left out.
 */
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
  ])('%s: unaltered, differs nowhere', (_kind, make) => expect(found(make())).toEqual([]));

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
      'what Y answers alone',
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
      'how X ends',
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
        'yFailedLock: absent / SEPT_ENTRY[page=0x100202000,idx=0]',
        'entryAtPause: 0x81000001003800f0 / 0x80e0000000000800',
        'entryAfter: 0x81000001003808f0 / 0x81000001003800f0',
        'linearizable: false / true',
        'lockLeak: halted / false',
      ],
    ],
    [
      'an event that X does not have',
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
      'a relation that nobody knows',
      { ...conflict(), relation: 'farAway' },
      ['set-up: built / there is no set-up for the relation farAway'],
    ],
    [
      'a function that nobody knows',
      { ...conflict(), y: 'TDH.MEM.PAGE.FLY' },
      ['set-up: built / there is no set-up for TDH.MEM.PAGE.FLY'],
    ],
    [
      'an entry that nobody knows',
      { ...conflict(), xEntry: 'EXPORTED_DIRTY@L0' },
      ['set-up: built / there is no set-up for an entry EXPORTED_DIRTY@L0'],
    ],
    [
      'an unknown stage',
      { ...lifecycle(), tdStageX: 'BORN' },
      ['set-up: built / there is no set-up for the stage BORN'],
    ],
    [
      'a state that cannot be',
      { ...conflict(), x: ACCEPT, opState: 'INITIALIZED', xEntry: 'PENDING@L0' },
      ['set-up: built / TDH.VP.ENTER answers TDX_OP_STATE_INCORRECT during the set-up'],
    ],
  ];
  test.each(ALTERATIONS)('in %s: exactly that is found', (_what, fields, expected) => {
    expect(found(fields)).toEqual(expected);
  });

  test('counts once, however many of its fields differ, and is told apart from its neighbours', () => {
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

describe('set-ups that the recordings at hand do not have', () => {
  test.each([
    ['BLOCKED@L0', 'TDX_TLB_TRACKING_NOT_DONE|RCX'],
    ['BLOCKED(tracked)@L0', 'TDX_SUCCESS'],
  ])('PAGE.REMOVE of an entry that is %s answers %s', (entry, status) => {
    withPair(testbed, { x: 'TDH.MEM.PAGE.REMOVE', y: 'TDH.MEM.SEPT.RD', entry }, ({ xAlone }) => {
      expect(xAlone).toBe(status);
    });
  });

  test('leave nothing behind on the testbed', () => {
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

const lines = (...cells: Fields[]): string =>
  cells.map((fields) => `${JSON.stringify(fields)}\n`).join('');

describe('sept conflicts', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sept-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const written = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  test('says how many cells were judged and ends with 0 when none differs', async () => {
    const json = written(
      'good.json',
      JSON.stringify({ results: [conflict(), conflict()] }, null, 1),
    );
    const gzipped = written('good.jsonl.gz', gzipSync(lines(step(), summary())));
    expect(await sept('conflicts', json, gzipped)).toEqual({
      code: 0,
      stdout: '4 cells, 0 differing\n',
      stderr: '',
    });
  });

  test('shows the first differences field by field and ends with 1', async () => {
    const file = written('bad.jsonl', lines(order(), { ...order(), xEntry: 'NOWHERE@L0' }));
    const { code, stdout, stderr } = await sept('conflicts', file);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout.replaceAll(folder, '').replaceAll(/ {2,}/g, '  ')).toMatchInlineSnapshot(`
      "2 cells, 1 differing

      where  pair  field  recorded  specified
      /bad.jsonl:2  TDH.MR.EXTEND, INITIALIZED, NOWHERE@L0  set-up  built  there is no set-up for an entry NOWHERE@L0
      "
    `);
  });

  test('prints exactly one object with --json', async () => {
    const file = written(
      'bad.json',
      JSON.stringify({ results: [{ ...lifecycle(), xChanged: true }] }),
    );
    const { code, stdout } = await sept('conflicts', '--json', '--limit', '1', file);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      cells: 1,
      differing: 1,
      differences: [{ field: 'xChanged', recorded: 'true', ours: 'false' }],
    });
  });

  const reason = async (content: string): Promise<string> => {
    try {
      await judgeFile(written('file', content), 1);
    } catch (error) {
      if (error instanceof InputError) return error.message.replace(folder, '');
      throw error;
    }
    return 'nothing wrong';
  };
  const KINDS =
    'conflicts takes recordings of pairs of calls: conflicts, lifecycle-conflicts, stepwise or commit-order';
  const UNUSABLE: [string, string, string][] = [
    ['an empty file', '', `/file: holds no cell; ${KINDS}`],
    [
      'no JSON',
      'hello\n',
      '/file:1: not a line of JSON; give a whole recording, and check that the file is whole',
    ],
    [
      'a file cut off in a line',
      `${lines(step())}{"x":`,
      '/file:2: not a line of JSON; give a whole recording, and check that the file is whole',
    ],
    [
      'another kind of recording',
      JSON.stringify({ id: 'seq-0', steps: [] }),
      `/file: no cell of a pair recording; ${KINDS}`,
    ],
    [
      'a cell without a status',
      lines(step(), { ...step(), yStatus: undefined }),
      '/file:2: yStatus: Invalid key: Expected "yStatus" but received undefined; compare it with the recording format',
    ],
    [
      'a result that is no object',
      '{"results":[17]}',
      `/file: result 1: no cell of a pair recording; ${KINDS}`,
    ],
  ];
  test.each(UNUSABLE)(
    '%s: one line says where, what, and what to do',
    async (_what, content, expected) => {
      expect(await reason(content)).toBe(expected);
    },
  );

  test('a missing file ends with 2 and one line', async () => {
    expect(await sept('conflicts', 'nosuch.json')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'sept: nosuch.json: no such file; check the path\n',
    });
  });
});
