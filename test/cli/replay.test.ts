/** `sept replay` as its users see it: its output and its exit status. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MODULE_NAMES } from '../../spec/tdx/versions/index.ts';
import { fixture } from '../properties/module/recordings/fixture.ts';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

let folder = '';
let good = '';
let bad = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
  good = join(folder, 'good.jsonl.gz');
  bad = join(folder, 'bad.jsonl');
  writeFileSync(good, gzipSync(`${JSON.stringify(fixture())}\n`.repeat(3)));
  const scenario = fixture();
  const [first, second] = scenario.steps;
  if (first === undefined || second === undefined) throw new Error('the fixture has steps');
  first['chldcnt'] = 99;
  second['status'] = '0xc000030000000008';
  writeFileSync(bad, `${JSON.stringify(fixture())}\n${JSON.stringify(scenario)}\n`);
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('sept replay', () => {
  test('sept replay counts scenarios and steps, and exits with 0 if nothing differs', async () => {
    expect(await sept('replay', good)).toEqual({
      code: 0,
      stdout: '3 scenarios, 21 steps, 0 differing\n',
      stderr: '',
    });
  });

  test('sept replay shows the first differences field by field, and exits with 1', async () => {
    const { code, stdout, stderr } = await sept('replay', bad, good);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatchInlineSnapshot(`
      "5 scenarios, 35 steps, 2 differing

      scenario  step  operation         field    recorded            specified
      own-0     0     TDH.MEM.SEPT.ADD  chldcnt  99                  13
      own-0     1     TDH.MEM.SEPT.ADD  status   0xc000030000000008  0x0
      "
    `);
  });

  test('sept replay --limit limits the differences that are shown', async () => {
    const { stdout } = await sept('replay', '--limit', '1', bad);
    expect(stdout.trimEnd().split('\n').slice(-1)).toEqual([
      'The first 1 differing fields; --limit shows more.',
    ]);
    expect(stdout).not.toContain('0xc000030000000008');
  });

  test('sept replay --pairs lists operations and statuses', async () => {
    const { stdout } = await sept('replay', '--pairs', good);
    expect(stdout).toMatchInlineSnapshot(`
      "3 scenarios, 21 steps, 0 differing

      operation              status       steps
      TDH.MEM.PAGE.ADD       TDX_SUCCESS  3
      TDH.MEM.RANGE.BLOCK    TDX_SUCCESS  3
      TDH.MEM.RANGE.UNBLOCK  TDX_SUCCESS  3
      TDH.MEM.SEPT.ADD       TDX_SUCCESS  9
      TDH.MEM.TRACK          TDX_SUCCESS  3
      "
    `);
  });

  test('sept replay --json prints exactly one object', async () => {
    const { code, stdout } = await sept('replay', '--json', bad);
    const object: unknown = JSON.parse(stdout);
    expect(code).toBe(1);
    expect(object).toMatchObject({
      scenarios: 2,
      steps: 14,
      differing: 2,
      differences: [
        {
          scenario: 'own-0',
          step: 0,
          op: 'TDH.MEM.SEPT.ADD',
          field: 'chldcnt',
          recorded: '99',
          ours: '13',
        },
        {},
      ],
    });
    const pair = { op: 'TDH.MEM.TRACK', status: 'TDX_SUCCESS', count: 2 };
    expect(object).toHaveProperty('pairs', expect.arrayContaining([pair]));
  });

  test.each<[string, string[], string]>([
    [
      'a missing file',
      ['replay', 'nosuch.jsonl'],
      'sept: nosuch.jsonl: no such file; check the path\n',
    ],
    ['no file', ['replay'], "error: missing required argument 'file'\n"],
    [
      'an unknown command',
      ['reply', 'x'],
      "error: unknown command 'reply' (Did you mean replay?)\n",
    ],
    [
      'an unknown option',
      ['replay', '--jsn', 'x'],
      "error: unknown option '--jsn' (Did you mean --json?)\n",
    ],
    [
      'a bad number',
      ['replay', '--limit', 'many', 'x'],
      "error: option '--limit <n>' argument 'many' is invalid. " +
        'Give a whole number from 0 to 1000000.\n',
    ],
    [
      'an unknown module version',
      ['replay', '--module', '2.0', 'x'],
      'sept: there is no module and no file "2.0"; did you mean 1.0? ' +
        `The modules are ${MODULE_NAMES.join(', ')}\n`,
    ],
  ])('sept prints one line about %s, and exits with 2', async (_what, args, stderr) => {
    expect(await sept(...args)).toEqual({ code: 2, stdout: '', stderr });
  });

  test('sept replay prints no error if the reader of its output is gone', async () => {
    const main = pathOf('cli/bin.mjs');
    const child = spawn(process.execPath, [main, 'replay', '--pairs', good]);
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdout.destroy();
    const code = await new Promise((resolve) => {
      child.on('close', resolve);
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});
