/** Files that replay cannot use, and the line that it prints for each. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../../../../properties/files/input.ts';
import { replayFile } from '../../../../properties/module/recordings/replay/replay.ts';
import { Universes } from '../../../../properties/module/recordings/universe/universe.ts';
import { at, fixture, type Fixture } from './fixture.ts';

const universes = new Universes();
const ADVICE = 'replay takes recordings of the functions it specifies';

describe('replay of an unusable file', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sept-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const messageOf = async (content: string | Uint8Array): Promise<string> => {
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

  test('replay recognises gzip by the content of a file', async () => {
    expect(await messageOf(`${line()}\n${line()}\n`)).toBe('nothing wrong');
    expect(await messageOf(gzipSync(`${line()}\n\n${line()}`))).toBe('nothing wrong');
  });

  test('replay names a missing file, and a folder', async () => {
    await expect(replayFile(join(folder, 'nosuch')).next()).rejects.toThrow(
      /no such file; check the path/,
    );
    await expect(replayFile(folder).next()).rejects.toThrow(/a directory; name the files in it/);
  });

  const UNUSABLE: [string, string | Uint8Array, string][] = [
    ['an empty file', '', '/file: holds no scenario; give a recording, one scenario a line'],
    [
      'a text',
      'hello\n',
      '/file:1: not a line of JSON; give JSON Lines, and check that the file is complete',
    ],
    [
      'a file cut off in a line',
      `${line()}\n${line().slice(0, 500)}`,
      '/file:2: not a line of JSON; give JSON Lines, and check that the file is complete',
    ],
    [
      'gzip data that is cut off',
      gzipSync(line()).subarray(0, 300),
      '/file: the gzip data ends too early; copy the file again',
    ],
    [
      'damaged gzip data',
      Uint8Array.of(0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
      '/file: the gzip data is damaged; copy the file again',
    ],
    [
      'another kind of recording',
      JSON.stringify({ id: 'conc-1', threads: [], config: {} }),
      '/file:1: config: neither a sequential nor a life-cycle configuration; ' +
        'replay takes sequential recordings, judge takes concurrent histories like this one',
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
      'an unknown operation',
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
      `/file:1: step 2 uses TD 5, which config does not list; ${ADVICE}`,
    ],
    [
      'a vCPU that config does not list',
      line((s) => {
        at(s.steps, 2).in['vcpu'] = 1;
      }),
      `/file:1: step 2 uses vCPU 1, which config does not list; ${ADVICE}`,
    ],
    [
      'a guest step without a vCPU',
      line((s) => {
        at(s.steps, 2)['op'] = 'HW.TD.EXIT';
      }),
      `/file:1: step 2 does not say which vCPU makes it; ${ADVICE}`,
    ],
    [
      'an unknown setting',
      line((s) => {
        Object.assign(at(s.steps, 2), { op: 'HARNESS.SET_LIFECYCLE' }).in['data'] = '0x77';
      }),
      `/file:1: step 2 sets an unknown life-cycle state 0x77; ${ADVICE}`,
    ],
    [
      'an unknown failure',
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
    'replay says in one line where and what is wrong, and what to do: %s',
    async (_what, content, expected) => {
      const message = await messageOf(content);
      expect(message).toBe(expected);
    },
  );
});

function line(change: (scenario: Fixture) => void = () => {}): string {
  const scenario = fixture();
  change(scenario);
  return JSON.stringify(scenario);
}
