/** `sept judge` as its users see it: its output, and one line for each unusable input. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

const RECORDING = readFileSync(pathOf('recordings/concurrent.jsonl.gz'));
const LINES = gunzipSync(RECORDING).toString().trim().split('\n');
const [FIRST = '', SECOND = ''] = LINES;

/** The first history with one of its fields changed. */
const changed = (change: (history: Record<string, unknown>) => void): string => {
  const history = JSON.parse(FIRST) as Record<string, unknown>;
  change(history);
  return `${JSON.stringify(history)}\n`;
};
const firstEvent = (history: Record<string, unknown>): Record<string, unknown> =>
  (history['events'] as Record<string, unknown>[])[0] ?? {};

const FILES: Readonly<Record<string, string | Buffer>> = {
  'plain.jsonl': `${FIRST}\n\n${SECOND}`,
  'one.jsonl.gz': gzipSync(`${FIRST}\n`),
  'altered.jsonl': changed((history) => {
    firstEvent(history)['status'] = '0xc000070500000000';
  }),
  'cut.jsonl.gz': RECORDING.subarray(0, RECORDING.length / 2),
  'cut.jsonl': `${FIRST}\n${SECOND.slice(0, 500)}`,
  'empty.jsonl': '',
  'blank.jsonl': '\n\n',
  'no-config.jsonl': changed((history) => {
    delete history['config'];
  }),
  'no-status.jsonl': changed((history) => {
    delete firstEvent(history)['status'];
  }),
  'no-inv.jsonl': changed((history) => {
    delete firstEvent(history)['inv'];
  }),
  'odd-op.jsonl': changed((history) => {
    firstEvent(history)['op'] = 'TDH.MEM.NOTHING';
  }),
  'array.jsonl': '[1, 2]\n',
};

let folder = '';
const path = (name: string): string => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
  for (const [name, content] of Object.entries(FILES)) writeFileSync(path(name), content);
  mkdirSync(path('folder'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('sept judge', () => {
  test('sept judge takes plain and gzipped files, and prints the time of a history', async () => {
    const { code, stdout, stderr } = await sept('judge', path('plain.jsonl'), path('one.jsonl.gz'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.replaceAll(/ [\d.]+(?=[,\n])/g, ' N')).toBe(
      '3 histories, 3 explained, 0 unexplained, 0 unknown; ' +
        'ms a history: median N, 90th percentile N, maximum N\n',
    );
  });

  test('sept judge names the call, the answers that are allowed, and a prefix', async () => {
    const { code, stdout } = await sept('judge', path('altered.jsonl'), '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      histories: 1,
      explained: 0,
      unexplained: 1,
      unknown: 0,
      medianMs: expect.any(Number),
      results: [
        {
          verdict: 'unexplained',
          finding: null,
          prefix: expect.arrayContaining([0]),
          why: expect.stringMatching(
            /^event 0 \(.*\): it may answer .*, not TDX_MAX_VCPUS_EXCEEDED/,
          ),
        },
      ],
    });
  });

  test.each([
    ['cut.jsonl.gz', 'cut.jsonl.gz: the gzip data ends too early; copy the file again'],
    [
      'cut.jsonl',
      'cut.jsonl:2: not a line of JSON; give JSON Lines, and check that the file is complete',
    ],
    [
      'empty.jsonl',
      'empty.jsonl: holds no history; give a concurrent recording, one history a line',
    ],
    [
      'blank.jsonl',
      'blank.jsonl: holds no history; give a concurrent recording, one history a line',
    ],
    [
      'no-config.jsonl',
      'no-config.jsonl:1: config: Invalid key: Expected "config" but received undefined;',
    ],
    ['no-status.jsonl', 'no-status.jsonl:1: events.0.status has the wrong shape;'],
    [
      'no-inv.jsonl',
      'no-inv.jsonl:1: events.0.inv: Invalid key: Expected "inv" but received undefined;',
    ],
    ['odd-op.jsonl', 'odd-op.jsonl:1: events.0 has an unknown operation TDH.MEM.NOTHING;'],
    ['array.jsonl', 'array.jsonl:1: id: Invalid key: Expected "id" but received undefined;'],
    ['folder', 'folder: a directory; name the files in it'],
    ['missing.jsonl', 'missing.jsonl: no such file; check the path'],
  ])('sept judge exits with 2 and prints one line for %s', async (name, message) => {
    const { code, stdout, stderr } = await sept('judge', path('plain.jsonl'), path(name));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.startsWith(`sept: ${folder}/${message}`), stderr).toBe(true);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
