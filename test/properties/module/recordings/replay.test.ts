/**
 * The judge of sequential recordings: it finds nothing in what the real module did, and everything
 * that was altered.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../../../../properties/files/input.ts';
import {
  replayFile,
  replayLine,
  type Replayed,
} from '../../../../properties/module/recordings/replay/replay.ts';
import { Summing } from '../../../../properties/module/recordings/replay/summary.ts';
import { Universes } from '../../../../properties/module/recordings/universe/universe.ts';
import { fixture, type Fixture } from './fixture.ts';
import { testWith } from './recorded.ts';

const universes = new Universes();
const ADVICE = 'replay takes recordings of the functions it specifies';
const replay = (value: unknown): Replayed => replayLine({ where: 'own:1', value }, universes);
const altered = (change: (scenario: Fixture) => void): Replayed => {
  const scenario = fixture();
  change(scenario);
  return replay(scenario);
};
const found = ({ differences }: Replayed): string[] =>
  differences.map(({ step, field, recorded, ours }) => `${step} ${field}: ${recorded} / ${ours}`);

describe('recordings of the real module', () => {
  for (const name of ['sequential.jsonl.gz', 'lifecycle.jsonl.gz']) {
    testWith(name, `${name} replays without a difference`, async (path) => {
      const summing = new Summing(5);
      for await (const replayed of replayFile(path)) summing.add(replayed);
      const { scenarios, steps, differing, differences, pairs } = summing.summary;
      console.log(
        `${name}: ${scenarios} scenarios, ${steps} steps, ${pairs.length} (operation, status) pairs`,
      );
      expect(differences).toEqual([]);
      expect(differing).toBe(0);
      expect(scenarios).toBeGreaterThan(0);
      expect(pairs.reduce((sum, pair) => sum + pair.count, 0)).toBe(steps);
    });
  }
});

describe('an altered recording', () => {
  test('unaltered, differs nowhere', () => {
    expect(replay(fixture())).toMatchObject({
      scenario: 'own-0',
      steps: 7,
      differing: 0,
      differences: [],
    });
  });

  const ALTERATIONS: [string, (scenario: Fixture) => void, string[]][] = [
    [
      'a status',
      (s) => {
        at(s.steps, 3)['status'] = '0xc000030000000008';
      },
      ['3 status: 0xc000030000000008 / 0x0'],
    ],
    [
      'a status name',
      (s) => {
        at(s.steps, 3)['statusName'] = 'TDX_OPERAND_BUSY';
      },
      ['3 statusName: TDX_OPERAND_BUSY / TDX_SUCCESS'],
    ],
    [
      'the kind of result',
      (s) => {
        at(s.steps, 0)['result'] = 'TD_EXIT';
      },
      ['0 result: TD_EXIT / RETURN'],
    ],
    [
      'an output register',
      (s) => {
        at(s.steps, 4).out = { rcx: '0x0', rdx: '0x400' };
      },
      ['4 out.rdx: 0x400 / 0x0'],
    ],
    [
      'a register that the function leaves alone',
      (s) => {
        at(s.steps, 5).out = { rcx: '0x0', rdx: '0x0' };
      },
      ['5 out.rcx: 0x0 / 0x100000000'],
    ],
    [
      'an entry after the step',
      (s) => {
        at(s.steps, 3).sept = { level: 0, state: 'MAPPED', raw: '0x80000001002040f7' };
      },
      ['3 sept.raw: 0x80000001002040f7 / 0x80000001002030f7'],
    ],
    [
      'an entry before the step',
      (s) => {
        at(s.steps, 6).septBefore = {
          level: 0,
          state: 'PENDING_BLOCKED',
          raw: '0x80800001002030f0',
        };
      },
      ['6 septBefore.state: PENDING_BLOCKED / BLOCKED'],
    ],
    [
      'where the walk ended',
      (s) => {
        at(s.steps, 2).septBefore = { walkStoppedAt: 2, state: 'FREE', raw: '0x80e0000000000000' };
      },
      ['2 septBefore.level: null / 1', '2 septBefore.walkStoppedAt: 2 / null'],
    ],
    [
      'the epoch',
      (s) => {
        at(s.steps, 5).epoch = { tdEpoch: 3, refcount: [0, 0] };
      },
      ['5 epoch.tdEpoch: 3 / 2'],
    ],
    [
      'a REFCOUNT',
      (s) => {
        at(s.steps, 5).epoch = { tdEpoch: 2, refcount: [0, 1] };
      },
      ['5 epoch.refcount[1]: 1 / 0'],
    ],
    [
      'OP_STATE',
      (s) => {
        at(s.steps, 1)['opState'] = 'RUNNABLE';
      },
      ['1 opState: RUNNABLE / INITIALIZED'],
    ],
    [
      'CHLDCNT',
      (s) => {
        at(s.steps, 1)['chldcnt'] = 15;
      },
      ['1 chldcnt: 15 / 14'],
    ],
    [
      'an exit that did not happen',
      (s) => {
        at(s.steps, 1)['vmExitReason'] = 48;
      },
      ['1 vmExitReason: 48 / null'],
    ],
    [
      'the type of a page at the end',
      (s) => {
        at(s.final.pamt, 5)['type'] = 'EPT';
      },
      ['final pamt[0x100203000 4K].type: EPT / REG'],
    ],
    [
      'the BEPOCH of a page at the end',
      (s) => {
        at(s.final.pamt, 5)['bepoch'] = 2;
      },
      ['final pamt[0x100203000 4K].bepoch: 2 / 1'],
    ],
    [
      'a lock that is held at the end',
      (s) => {
        at(s.final.pamt, 0)['lockRaw'] = 4;
      },
      ['final pamt[0x100000000 4K].lockRaw: 4 / 0'],
    ],
    [
      'a page missing at the end',
      (s) => {
        s.final.pamt.splice(5, 1);
      },
      ['final pamt[0x100203000 4K]: absent / REG'],
    ],
    [
      'one page too many at the end',
      (s) => {
        at(s.final.pamt, 4)['count'] = 4;
        s.final.pamt.splice(5, 1);
      },
      ['final pamt[0x100203000 4K].type: EPT / REG', 'final pamt[0x100203000 4K].bepoch: 0 / 1'],
    ],
    [
      'an entry at the end',
      (s) => {
        at(at(s.final.tds, 0)['sept'] as { raw: string }[], 3).raw = '0x80000001002030f0'; // the fixture has four
      },
      [
        'final tds[0].sept[0x40000000 level 0]: MAPPED 0x80000001002030f0 / MAPPED 0x80000001002030f7',
      ],
    ],
    [
      'an entry missing at the end',
      (s) => {
        (at(s.final.tds, 0)['sept'] as unknown[]).pop();
      },
      ['final tds[0].sept[0x40000000 level 0]: FREE / MAPPED 0x100203000'],
    ],
    [
      'a vCPU at the end',
      (s) => {
        at(s.final.tds, 0)['vcpus'] = [{ state: 4, vcpuEpoch: 0, assocLp: -1 }];
      },
      ['final tds[0].vcpus[0].state: 4 / 2'],
    ],
    [
      'a tree lock at the end',
      (s) => {
        at(s.final.tds, 0)['locks'] = { septTree: 2, opState: 0, epoch: 0 };
      },
      ['final tds[0].locks.septTree: 2 / 0'],
    ],
  ];
  test.each(ALTERATIONS)('in %s: exactly that is found', (_what, change, expected) => {
    const replayed = altered(change);
    expect(found(replayed)).toEqual(expected);
    expect(replayed.differing).toBe(1);
  });

  test('counts a step once and the final dump as one more', () => {
    const replayed = altered((s) => {
      at(s.steps, 1)['opState'] = 'RUNNABLE';
      at(s.steps, 1)['chldcnt'] = 15;
      at(s.final.pamt, 5)['bepoch'] = 2;
    });
    expect(replayed.differences).toHaveLength(3);
    expect(replayed.differing).toBe(2);
  });

  test('a repeated call stops where the recording stops, and says so otherwise', () => {
    const replayed = altered((s) => {
      const add = at(s.steps, 3);
      add['repeat'] = { count: 2, gpaStride: '0x1000', hpaStride: '0x0', executed: 1 };
    });
    // the second call finds its page in use, so the specification makes two calls and ends with that status
    expect(found(replayed).slice(0, 2)).toEqual([
      '3 status: 0x0000000000000000 / 0xc000030000000008',
      '3 statusName: TDX_SUCCESS / TDX_PAGE_METADATA_INCORRECT',
    ]);
    expect(found(replayed)).toContain('3 repeat.executed: 1 / 2');
  });
});

describe('a file that is no recording', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sept-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const whyNot = async (content: string | Uint8Array): Promise<string> => {
    const file = join(folder, 'file');
    writeFileSync(file, content);
    try {
      for await (const replayed of replayFile(file, universes)) expect(replayed.differing).toBe(0);
    } catch (error) {
      if (error instanceof InputError) return error.message.replace(folder, '');
      throw error;
    }
    return 'nothing wrong';
  };

  test('plain and gzipped lines are told apart by their content', async () => {
    expect(await whyNot(`${line()}\n${line()}\n`)).toBe('nothing wrong');
    expect(await whyNot(gzipSync(`${line()}\n\n${line()}`))).toBe('nothing wrong');
  });

  test('a missing file or a folder', async () => {
    await expect(replayFile(join(folder, 'nosuch')).next()).rejects.toThrow(
      /no such file; check the path/,
    );
    await expect(replayFile(folder).next()).rejects.toThrow(/a directory; name the files in it/);
  });

  const UNUSABLE: [string, string | Uint8Array, string][] = [
    ['empty', '', '/file: holds no scenario; give a recording, one scenario a line'],
    [
      'no JSON',
      'hello\n',
      '/file:1: not a line of JSON; give JSON Lines, one scenario a line, from a file that is whole',
    ],
    [
      'cut off in a line',
      `${line()}\n${line().slice(0, 500)}`,
      '/file:2: not a line of JSON; give JSON Lines, one scenario a line, from a file that is whole',
    ],
    [
      'cut off in the gzip data',
      gzipSync(line()).subarray(0, 300),
      '/file: the gzip data ends too early; copy the file again',
    ],
    [
      'damaged in the gzip data',
      Uint8Array.of(0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
      '/file: the gzip data is damaged; copy the file again',
    ],
    [
      'another kind of recording',
      JSON.stringify({ id: 'conc-1', threads: [], config: {} }),
      '/file:1: config: neither a sequential nor a life-cycle configuration; ' +
        'this is a concurrent history, replay takes sequential recordings',
    ],
    [
      'a number',
      '17',
      '/file:1: the line: Invalid type: Expected Object but received 17; ' +
        'replay takes sequential and life-cycle recordings, one scenario a line',
    ],
    [
      'a step without a status',
      line((s) => {
        delete at(s.steps, 2)['status'];
      }),
      '/file:1: steps.2.status has the wrong shape; compare it with the recording format',
    ],
    [
      'a register that is no number',
      line((s) => {
        at(s.steps, 2).in['regs'] = { rcx: '12' };
      }),
      '/file:1: steps.2.in.regs has the wrong shape; compare it with the recording format',
    ],
    [
      'an operation that nobody knows',
      line((s) => {
        at(s.steps, 2)['op'] = 'TDH.MEM.PAGE.FLY';
      }),
      `/file:1: step 2 has an unknown operation TDH.MEM.PAGE.FLY; ${ADVICE}`,
    ],
    [
      'a TD that config does not list',
      line((s) => {
        at(s.steps, 2).in['td'] = 5;
      }),
      `/file:1: step 2 speaks of TD 5, which config does not list; ${ADVICE}`,
    ],
    [
      'a vCPU that config does not list',
      line((s) => {
        at(s.steps, 2).in['vcpu'] = 1;
      }),
      `/file:1: step 2 speaks of vCPU 1, which config does not list; ${ADVICE}`,
    ],
    [
      'a guest step without a vCPU',
      line((s) => {
        at(s.steps, 2)['op'] = 'HW.TD.EXIT';
      }),
      `/file:1: step 2 does not say which vCPU makes it; ${ADVICE}`,
    ],
    [
      'a setting that nobody knows',
      line((s) => {
        Object.assign(at(s.steps, 2), { op: 'HARNESS.SET_LIFECYCLE' }).in['data'] = '0x77';
      }),
      `/file:1: step 2 sets an unknown life-cycle state 0x77; ${ADVICE}`,
    ],
    [
      'a failure that nobody knows',
      line((s) => {
        at(s.steps, 2).in['inject'] = 'sunspot';
      }),
      `/file:1: step 2 injects an unknown failure sunspot; ${ADVICE}`,
    ],
    [
      'a TD outside the TDMR',
      line((s) => {
        s.config['reservedPage'] = '0x1000';
      }),
      '/file:1: config: names a page outside the TDMR; ' +
        'replay takes sequential and life-cycle recordings, one scenario a line',
    ],
  ];
  test.each(UNUSABLE)(
    '%s: one line says where, what, and what to do',
    async (_what, content, expected) => {
      const message = await whyNot(content);
      expect(message).toBe(expected);
    },
  );
});

function line(change: (scenario: Fixture) => void = () => {}): string {
  const scenario = fixture();
  change(scenario);
  return JSON.stringify(scenario);
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}
