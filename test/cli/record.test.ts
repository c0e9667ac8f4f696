/** `npm run record` as its users see it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

const SCENARIOS = ['sequential.jsonl.gz', 'lifecycle.jsonl.gz'];

describe('npm run record', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sept-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const record = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', pathOf('cli/record.ts'), ...args]);

  test('npm run record generates recordings of other seeds, which sept replays', async () => {
    const { stdout } = await record('--folder', folder, '--seed', '7000', '--scenarios', '3');
    expect(
      stdout
        .split('\n')
        .map((line) => line.replace(/,.*/, ''))
        .slice(0, 2),
    ).toEqual(['sequential.jsonl.gz: 3 lines', 'lifecycle.jsonl.gz: 2 lines']);
    const { code, stdout: replayed } = await sept(
      'replay',
      ...SCENARIOS.map((name) => join(folder, name)),
    );
    expect(replayed).toMatch(/^5 scenarios, \d+ steps, 0 differing\n$/);
    expect(code).toBe(0);
  });

  test('npm run record refuses a folder that cannot be created in one line', async () => {
    await expect(record('--folder', '/proc/x')).rejects.toMatchObject({
      code: 2,
      stderr: '/proc/x: cannot be created: there is no such folder; create it first\n',
    });
  });

  test('npm run record refuses an invalid seed in one line', async () => {
    await expect(record('--folder', folder, '--seed', 'x')).rejects.toMatchObject({
      code: 2,
      stderr: "error: option '--seed <number>' argument 'x' is invalid. expected a whole number\n",
    });
  });
});
