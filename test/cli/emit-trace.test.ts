/** `--emit-trace` of `sept check` and `sept show`. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sept } from './run.ts';

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Lines of a file that `--emit-trace` wrote. */
const emitted = (file: string): string[] =>
  (file.endsWith('.gz') ? gunzipSync(readFileSync(file)) : readFileSync(file))
    .toString()
    .split('\n');

describe('--emit-trace', () => {
  test('sept check writes its first counterexample as a trace that breaks its rule', async () => {
    const file = join(folder, 'b-46.trace');
    const checked = await sept('check', 'b-46', '--runs', '100', '--emit-trace', file);
    expect(checked.code).toBe(1);
    expect(checked.stderr).toContain(
      `${file}: ${emitted(file).length - 1} lines, ` +
        `of the scenario 'v0: read 0 | h0: remove-table 0'\n`,
    );

    const { code, stdout } = await sept('trace', file, '--json');
    expect(code).toBe(1);
    expect((JSON.parse(stdout) as { violations: unknown[] }).violations[0]).toMatchObject({
      rule: 'K48',
    }); // its own format
  });

  test('sept check writes the longest run of a policy that passes, gzipped for .gz', async () => {
    const file = join(folder, 'frozen-mirror.trace.gz');
    expect(
      (
        await sept(
          'check',
          'frozen-mirror',
          '--runs',
          '100',
          '--property',
          'K44',
          '--emit-trace',
          file,
        )
      ).code,
    ).toBe(0);
    expect(emitted(file).length).toBeGreaterThan(100);
    expect(await sept('trace', file)).toMatchObject({ code: 0, stderr: '' });
  });

  test('sept show reports why the trace will not show what the monitors saw', async () => {
    const file = join(folder, 'b-55.trace');
    const { stderr } = await sept('show', 'b-55', 'v0: touch-no-ve 0', '--emit-trace', file);
    expect(stderr).toContain(
      `${file}: sept trace will not name K60: no event shows which pages a guest has accepted\n`,
    );
    expect(await sept('trace', file)).toMatchObject({ code: 0 });
  });

  test('sept show writes the run of its scenario', async () => {
    const file = join(folder, 'shown.trace');
    expect((await sept('show', 'frozen-mirror', 'v0: touch 0', '--emit-trace', file)).code).toBe(0);
    expect(emitted(file).some((line) => line.includes(' tdh_mem_page_aug: '))).toBe(true);
  });

  test('a file that cannot be written is refused in one line before anything runs', async () => {
    const nowhere = join(folder, 'nowhere', 'x.trace');
    const checked = await sept('check', 'frozen-mirror', '--emit-trace', nowhere);
    expect(checked).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${nowhere}: no folder ${join(folder, 'nowhere')}; create it first\n`,
    });
    expect(await sept('show', 'frozen-mirror', 'v0: touch 0', '--emit-trace', folder)).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${folder}: is a folder; name a file\n`,
    });
  });

  test('a file that the disk refuses is reported in one line, and leaves no draft', async () => {
    const before = readdirSync(folder);
    const { code, stderr } = await sept(
      'show',
      'frozen-mirror',
      'v0: touch 0',
      '--emit-trace',
      join(folder, 'x'.repeat(300)),
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/^sept: .*x: cannot be written: ENAMETOOLONG.*\n$/);
    expect(readdirSync(folder)).toEqual(before);
  });
});
