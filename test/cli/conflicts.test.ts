/** `sept conflicts` as its users see it: its output, and one line for each unusable input. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../../properties/files/input.ts';
import { readCells } from '../../properties/module/recordings/conflicts/format.ts';
import { exchange, locks, read, reads } from '../properties/module/recordings/cells-1-0.ts';
import {
  conflict,
  lifecycle,
  order,
  step,
  summary,
  type Fields,
} from '../properties/module/recordings/cells.ts';
import { sept } from './run.ts';

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

  test('sept conflicts counts the cells, and exits with 0 if none differs', async () => {
    const json = written(
      'good.json',
      JSON.stringify({ results: [conflict(), conflict()] }, null, 1),
    );
    const gzipped = written('good.jsonl.gz', gzipSync(lines(step(), summary())));
    expect(await sept('conflicts', '--module', '1.5.05', json, gzipped)).toEqual({
      code: 0,
      stdout: '4 cells, 0 differing\n',
      stderr: '',
    });
  });

  test('sept conflicts says by which module it runs a file that names none', async () => {
    const named = written(
      'named.json',
      JSON.stringify({ module: 'TDX 1.5.05', results: [conflict()] }),
    );
    const nameless = written('nameless.jsonl', lines(step()));
    const { code, stdout } = await sept('conflicts', named, nameless);
    expect(code).toBe(0);
    expect(stdout.replace(folder, '')).toBe(
      '2 cells, 0 differing\n' +
        '/nameless.jsonl names no module: run as 1.5.05; --module runs it as another.\n',
    );
  });

  test('sept conflicts shows the first differences field by field, and exits with 1', async () => {
    const file = written('bad.jsonl', lines(order(), { ...order(), xEntry: 'NOWHERE@L0' }));
    const { code, stdout, stderr } = await sept('conflicts', file);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout.replaceAll(folder, '').replaceAll(/ {2,}/g, '  ')).toMatchInlineSnapshot(`
      "2 cells, 1 differing
      /bad.jsonl names no module: run as 1.5.05; --module runs it as another.

      where  pair  field  recorded  specified
      /bad.jsonl:2  TDH.MR.EXTEND, INITIALIZED, NOWHERE@L0  set-up  built  there is no set-up for an entry NOWHERE@L0
      "
    `);
  });

  test('sept conflicts says what it has not compared', async () => {
    const file = written('reads.jsonl', lines(read(), reads(), exchange(), reads()));
    const two = written('more.json', JSON.stringify({ functions: [locks()] }));
    expect(await sept('conflicts', '--module', '1.0.03', file, two, file)).toEqual({
      code: 0,
      stdout: `9 cells, 0 differing
Not compared in 4 cells: the number of loads, and of those with a change.
Not compared in 2 cells: the position of a load.
`,
      stderr: '',
    });
  });

  test('sept conflicts takes the version from a module that names its build, too', async () => {
    const file = written(
      'build.json',
      JSON.stringify({ module: '1.5.05.46.698', results: [conflict()] }),
    );
    const { code, stdout } = await sept('conflicts', file);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '1 cells, 0 differing\n' });
  });

  test('sept conflicts says which modules it can run a recording of another one as', async () => {
    const file = written('next.json', JSON.stringify({ module: 'TDX 9.1', results: [conflict()] }));
    const { code, stderr } = await sept('conflicts', file);
    expect(code).toBe(2);
    expect(stderr.replace(folder, '')).toMatch(
      /^sept: \/next\.json: records "TDX 9\.1", which is not specified; .*--module 1\.5\.05, /u,
    );
  });

  test('sept conflicts --json prints exactly one object', async () => {
    const file = written(
      'bad.json',
      JSON.stringify({ results: [{ ...lifecycle(), xChanged: true }] }),
    );
    const { code, stdout } = await sept('conflicts', '--json', '--limit', '1', file);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      cells: 1,
      differing: 1,
      notCompared: {},
      assumed: [file],
      differences: [{ field: 'xChanged', recorded: 'true', ours: 'false' }],
    });
  });

  const reasonFor = async (content: string): Promise<string> => {
    try {
      await readCells(written('file', content));
    } catch (error) {
      if (error instanceof InputError) return error.message.replace(folder, '');
      throw error;
    }
    return 'nothing wrong';
  };
  const KINDS =
    'conflicts takes recorded pairs: ' +
    'conflicts, lifecycle-conflicts, stepwise, commit-order or locks';
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
      '/file:2: yStatus: Invalid key: Expected "yStatus" but received undefined; ' +
        'compare it with the recording format',
    ],
    [
      'a result that is no object',
      '{"results":[17]}',
      `/file: result 1: no cell of a pair recording; ${KINDS}`,
    ],
  ];
  test.each(UNUSABLE)(
    'sept conflicts says in one line where and what is wrong, and what to do: %s',
    async (_what, content, expected) => {
      expect(await reasonFor(content)).toBe(expected);
    },
  );

  test('sept conflicts prints one line about a missing file, and exits with 2', async () => {
    expect(await sept('conflicts', 'nosuch.json')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'sept: nosuch.json: no such file; check the path\n',
    });
  });
});
