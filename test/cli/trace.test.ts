/** `sept trace` from the command line: its output and its exit status. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRACE_RULE_IDS } from '../../properties/traces/rules/index.ts';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

const own = (name: string): string => pathOf(`recordings/traces/${name}.trace.gz`);

const GOOD = own('linux-7.3.4-faults-1g');
const BAD = own('linux-7.3.4-bug-notifier-without-flush');
const VM = '0xffff8881016c6000';
const NO_EVENT =
  'no event of a trace in it; give the text of the file `trace` in tracefs, of trace-cmd report ' +
  'or of perf script';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('sept trace', () => {
  test('sept trace lists how often each rule was exercised, and exits with 0', async () => {
    const { code, stdout, stderr } = await sept('trace', GOOD);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`${GOOD}: Linux 7.2 or 7.3, 254 events, 0 violations\n`);
    for (const id of TRACE_RULE_IDS) expect(stdout).toMatch(new RegExp(`^${id} +\\d+ +0`, 'm'));
    expect(stdout).toMatch(/^K18 +0 +0 +no event nxzap in the trace$/m);
  });

  test('sept trace shows where a rule is violated, and the cause, and exits with 1', async () => {
    const { code, stdout } = await sept('trace', BAD, '--rule', 'K20');
    expect(code).toBe(1);
    expect(stdout.slice(stdout.indexOf('\n') + 1).replaceAll(BAD, 'FILE')).toMatchInlineSnapshot(`
      "
      rule  exercised  violated  not judged
      K20   4          1

      K20: SPTEs zapped under a valid root are flushed before mmu_lock is released; a notifier that spans
      several memslots may flush later, but before it returns.
      FILE
        513  GFN 0x13a0 at 4K: 224d825 became 8000000000000000
      ! 518  kw-527: releases mmu_lock (or ends the invalidation) without a TLB flush after zapping GFNs
             [0x13a0, 0x13a1)
             kw-527     [000] ...1.          514: wu: (_raw_write_unlock+0x4/0x30) lock=0xffff888102d16000
      "
    `);
  });

  test('sept trace exits with 3 if no rule was judged', async () => {
    const { code, stdout } = await sept('trace', GOOD, '--rule', 'K18');
    expect([code, stdout.endsWith('\nNo rule was judged.\n')]).toEqual([3, true]);

    const other = await sept('trace', GOOD, '--kernel', '6.1');
    expect([other.code, other.stdout.split('\n')[1]]).toEqual([
      3,
      'the probes are those of Linux 7.3, so nothing is judged as Linux 6.1; give that version, ' +
        'or leave --kernel out',
    ]);
  });

  test('sept trace shows one violation of each kind, and counts the others', async () => {
    const twice = join(folder, 'twice.trace');
    const text = gunzipSync(readFileSync(BAD)).toString('latin1');
    writeFileSync(twice, `${text}${text}`);
    const { code, stdout } = await sept('trace', twice, '--rule', 'K20');

    expect(code).toBe(1);
    expect(stdout.split('\n')[1]).toBe(
      '1 further capture follows the first; the state until then was discarded',
    );
    expect(stdout.match(/^K20: /gm)).toHaveLength(1);
    expect(stdout).toMatch(/^ {2}and 1 more like this, the last at line \d+$/m);
    const none = await sept('trace', twice, '--rule', 'K20', '--limit', '0');
    expect(none.stdout).toContain('0 of 1 kinds of violations are shown; --limit shows more.\n');
  });

  test('sept trace takes --property for --rule, and adds what both name', async () => {
    const { stdout } = await sept('trace', GOOD, '--property', 'K20', '--rule', 'k1');
    expect(stdout).toMatch(/^rule .*\nK1 .*\nK20 .*$/m);
    expect(stdout).not.toContain('K2 ');
  });

  test('sept trace --json prints one object', async () => {
    const { code, stdout } = await sept('trace', BAD, GOOD, '--json');
    const verdict = JSON.parse(stdout) as unknown;
    expect(code).toBe(1);
    expect(verdict).toMatchObject({
      events: 842,
      violations: [{ rule: 'K20', line: 518, task: 'kw-527', file: BAD }],
      rules: { K20: { violated: 1 }, K1: { violated: 0 } },
      traces: [{ kernel: '7.3' }, { kernel: '7.3', vms: [VM] }],
    });
    expect((verdict as { rate: unknown }).rate).toBeTypeOf('number'); // checked by the line above
  });

  test('sept trace --vm judges one VM only', async () => {
    expect((await sept('trace', GOOD, '--vm', VM)).code).toBe(0);
    expect(await sept('trace', GOOD, '--vm', '0x1')).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${GOOD}: no event of VM 0x1; --vm takes one of ${VM}\n`,
    });
  });

  test('sept trace reads plain text as well as gzip', async () => {
    const plain = join(folder, 'plain.trace');
    writeFileSync(plain, gunzipSync(readFileSync(GOOD)));
    expect((await sept('trace', plain)).code).toBe(0);
  });

  test('sept trace refuses a bad file or option in one line, and exits with 2', async () => {
    const text = join(folder, 'text');
    writeFileSync(text, 'hello\n');
    expect(await sept('trace', text)).toEqual({
      code: 2,
      stdout: '',
      stderr: `sept: ${text}: ${NO_EVENT}\n`,
    });
    expect(await sept('trace', 'nowhere')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'sept: nowhere: no such file; check the path\n',
    });
    const { code, stderr } = await sept('trace', GOOD, '--rule', 'K99');
    expect([code, stderr.split('; ')[0]]).toEqual([2, 'sept: no rule K99 for traces']);
    expect(await sept('trace', GOOD, '--rule', 'K42')).toEqual({
      code: 2,
      stdout: '',
      stderr: 'sept: traces are not judged by K42: SRCU read sections have no probes\n',
    });
  });

  describe('with parts of one capture', () => {
    const part = (cpu: string): string => {
      const lines = gunzipSync(readFileSync(GOOD)).toString('latin1').split('\n');
      const path = join(folder, `cpu${cpu}`);
      const ofCpu = lines.filter((line) => line.startsWith('#') || line.includes(`[${cpu}]`));
      writeFileSync(path, `${ofCpu.join('\n')}\n`);
      return path;
    };

    test('sept trace --merge judges the files of CPUs as one capture', async () => {
      const [one, other] = [part('000'), part('001')];
      const { code, stdout } = await sept('trace', '--merge', one, other);
      const whole = await sept('trace', GOOD);

      expect(code).toBe(0);
      expect(stdout.replace(`${one} ${other}`, GOOD)).toBe(whole.stdout);
    });

    test('sept trace asks for --merge where each file has the events of another CPU', async () => {
      expect(await sept('trace', part('000'), part('001'))).toEqual({
        code: 2,
        stdout: '',
        stderr:
          'sept: each file has the events of another CPU, at the same time: judge them as one ' +
          'capture, with --merge\n',
      });
    });

    test("sept trace judges nothing where one CPU's file follows another's", async () => {
      const joined = join(folder, 'joined');
      writeFileSync(
        joined,
        readFileSync(part('000'), 'latin1') + readFileSync(part('001'), 'latin1'),
      );
      const { code, stdout } = await sept('trace', joined);

      expect(code).toBe(3);
      expect(stdout.split('\n')[1]).toBe(
        'the events of one CPU follow those of another, so nothing is judged; give the files ' +
          'per_cpu/cpuN/trace by themselves, with --merge',
      );
    });
  });

  test('sept trace - prints a violation at once, and the verdict after SIGINT', async () => {
    const { child, until } = septReading('trace', '-');
    child.stdin.write(gunzipSync(readFileSync(BAD)));
    // the pipe stays open, as that of trace_pipe does
    const live = await until(/^! 518 .*\n.*\n.*\n/m);
    child.kill('SIGINT');
    const [code, stdout] = await ended(child, until);

    expect(live).not.toContain('exercised');
    expect(live).toContain('\nviolation 1\n');
    expect(code).toBe(1);
    expect(stdout.slice(live.length)).toContain('-: Linux 7.2 or 7.3, 588 events, 1 violation\n');
    expect(stdout.slice(live.length)).toMatch(/^K20 +4 +1$/m);
  }, 30_000);
});

test('sept trace - ends at once where its input is of no use, and more could follow', async () => {
  const { child, until } = septReading('trace', '-');
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += String(text);
  });
  child.stdin.write(Buffer.from('\u{FD}7zXZ\0', 'latin1'));

  expect(await ended(child, until)).toEqual([2, '']);
  expect(errors).toBe('sept: -: compressed by xz; pipe it through xz -dc\n');
}, 30_000);

/** A `sept` process whose standard input stays open, and a wait for its output. */
function septReading(...args: string[]): {
  readonly child: ChildProcessWithoutNullStreams;
  readonly until: (pattern: RegExp) => Promise<string>;
} {
  const child = spawn(process.execPath, [pathOf('cli/bin.mjs'), ...args]);
  let output = '';
  child.stdout.on('data', (text) => {
    output += String(text);
  });
  const until = (pattern: RegExp): Promise<string> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!pattern.test(output)) return;
        child.stdout.off('data', look);
        resolve(output);
      };
      child.stdout.on('data', look);
      look();
    });
  return { child, until };
}

/** The exit status and the whole output of a process. */
const ended = (
  child: ChildProcessWithoutNullStreams,
  until: (pattern: RegExp) => Promise<string>,
): Promise<[number | null, string]> =>
  new Promise((resolve) => {
    child.once('close', (code) => void until(/(?:)/).then((output) => resolve([code, output])));
  });
