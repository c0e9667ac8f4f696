/** `sept linearize` as its users see it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sept } from './run.ts';

const jepsen = (...lines: string[]): string =>
  lines.map((line) => `INFO  jepsen.util - ${line}\n`).join('');
const record = (process: number, type: string, f: string, key: string, value: string): string =>
  `{:process ${process}, :type :${type}, :f :${f}, :key "${key}", :value ${value}}\n`;

const FILES: Readonly<Record<string, string>> = {
  'good.log': jepsen(
    '0\t:invoke\t:write\t1',
    '1\t:invoke\t:read\tnil',
    '0\t:info\t:write\t:timed-out',
    '1\t:ok\t:read\t1',
    '1\t:invoke\t:cas\t[1 2]',
    '1\t:ok\t:cas\t[1 2]',
    '2\t:invoke\t:read\tnil',
    '2\t:fail\t:read\t:timed-out',
  ),
  'bad.log': jepsen(
    '0\t:invoke\t:write\t1',
    '0\t:ok\t:write\t1',
    '1\t:invoke\t:read\tnil',
    '1\t:ok\t:read\tnil',
  ),
  'good.kv':
    record(0, 'invoke', 'append', '4', '"a"') +
    record(1, 'invoke', 'get', '4', 'nil') +
    record(1, 'ok', 'get', '4', '"a"') +
    record(0, 'ok', 'append', '4', '"a"'),
  'odd.kv': 'what is this\n',
  'empty.log': 'INFO nothing\n',
  'other.log': jepsen('0\t:invoke\t:write\t1', '0\t:ok\t:write\t2'),
  'orphan.log': jepsen('0\t:ok\t:write\t1'),
};

/**
 * Forty writes and forty compare-and-sets at the same time, then a read of a value that no
 * operation wrote: the search has to try every order.
 */
const MANY = Array.from({ length: 40 }, (_, i) => i);
const HARD = jepsen(
  ...MANY.map((i) => `${i}\t:invoke\t:write\t${i}`),
  ...MANY.map((i) => `${i + 50}\t:invoke\t:cas\t[${i} ${i + 1}]`),
  ...MANY.map((i) => `${i}\t:ok\t:write\t${i}`),
  ...MANY.map((i) => `${i + 50}\t:ok\t:cas\t[${i} ${i + 1}]`),
  '99\t:invoke\t:read\tnil',
  '99\t:ok\t:read\t777',
);

let folder = '';
const path = (name: string): string => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
  for (const [name, text] of Object.entries({ ...FILES, 'hard.log': HARD }))
    writeFileSync(path(name), text);
});
afterAll(() => rmSync(folder, { recursive: true }));

const shown = (text: string): string =>
  text.replaceAll(`${folder}/`, '').replaceAll(/[\d.]+ ms/g, 'N ms');

describe('sept linearize', () => {
  test('sept linearize exits with 0 if an order explains each history', async () => {
    const { code, stdout } = await sept('linearize', '--model', 'register', path('good.log'));
    expect({ code, stdout: shown(stdout) }).toEqual({
      code: 0,
      stdout: 'good.log: explained, 4 operations, N ms\n',
    });
    expect((await sept('linearize', '--model', 'kv', path('good.kv'))).code).toBe(0);
  });

  test('sept linearize names the operation that no order explains, and exits with 1', async () => {
    const { code, stdout } = await sept('linearize', '--model', 'register', path('bad.log'));
    expect(code).toBe(1);
    expect(shown(stdout)).toMatchInlineSnapshot(`
      "bad.log: unexplained, 2 operations, N ms
        line 3, read: nothing: the register holds 1, so a read cannot answer nothing (2 operations show it)
      "
    `);
  });

  test('sept linearize answers unknown after the time given, and exits with 1', async () => {
    const { code, stdout } = await sept(
      'linearize',
      '--model',
      'register',
      '--time',
      '20ms',
      path('hard.log'),
    );
    expect(code).toBe(1);
    expect(shown(stdout)).toBe(
      'hard.log: unknown, 81 operations, N ms\n  not decided in the time given\n',
    );
  });

  test('sept linearize --json prints exactly one object', async () => {
    const { stdout } = await sept(
      'linearize',
      '--json',
      '--model',
      'register',
      path('good.log'),
      path('bad.log'),
    );
    expect(JSON.parse(stdout)).toMatchObject({
      results: [
        { operations: 4, verdict: 'explained', why: null },
        { operations: 2, verdict: 'unexplained' },
      ],
    });
  });

  test.each([
    [
      'kv',
      'odd.kv',
      'sept: odd.kv:1: not an operation; give one record a line, as porcupine writes them\n',
    ],
    [
      'register',
      'empty.log',
      'sept: empty.log: holds no operation; check that --model fits the file\n',
    ],
    [
      'register',
      'orphan.log',
      'sept: orphan.log:1: process 0 has not begun this; give the history from its start\n',
    ],
    [
      'register',
      'other.log',
      'sept: other.log:2: process 0 has not begun this; give the history from its start\n',
    ],
    ['register', 'none.log', 'sept: none.log: no such file; check the path\n'],
  ])(
    'sept linearize --model %s prints one line about the unusable file %s, and exits with 2',
    async (model, name, message) => {
      const { code, stderr } = await sept('linearize', '--model', model, path(name));

      expect({ code, stderr: shown(stderr) }).toEqual({ code: 2, stderr: message });
    },
  );
});
