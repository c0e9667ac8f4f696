/** The script of `sept probes --script`, as text and in the shells that are here. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { captureScript } from '../../../../properties/traces/capture/script.ts';
import { fakeTracefs, LOCKS, NAMES_7_3, record } from './captures.ts';

const has = (program: string): boolean => spawnSync(program, ['--help']).error === undefined;

describe('the script as text', () => {
  const VARIANTS = [{}, { kernel: '6.1' }, { kernel: '7.3', tdx: true }, { tdx: true }] as const;

  if (has('shellcheck')) {
    test.each(VARIANTS)('shellcheck accepts the script of %j as POSIX sh', (variant) => {
      const { stdout, status } = spawnSync('shellcheck', ['--shell=sh', '-'], {
        input: captureScript(variant),
        encoding: 'utf8',
      });

      expect(stdout).toBe('');
      expect(status).toBe(0);
    });
  } else
    test.skip('shellcheck accepts the script (skipped: shellcheck is not installed)', () => {});

  test('the script of one kernel has no definition of another', () => {
    const script = captureScript({ kernel: '6.1' });

    expect(script).toContain('|6.1|p:@/chg __handle_changed_spte kvm=%di:x64');
    expect(script).not.toContain('handle_changed_spte kvm=kvm:x64');
  });

  test('-h prints the usage, and needs no root', async () => {
    const { code, stderr } = await fakeTracefs().run(['-h'], { uid: 1000 });

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

const SHELLS: readonly (readonly [string, readonly string[]])[] = [
  ['sh', ['sh']],
  ...['dash', 'busybox', 'bash'].flatMap((shell): [string, string[]][] =>
    has(shell) ? [[shell, shell === 'busybox' ? [shell, 'sh'] : [shell]]] : [],
  ),
];

describe.each(SHELLS)('a capture in %s', (_, shell) => {
  test('each probe is attached by a write of its own, and removed at the end', async () => {
    const fake = fakeTracefs();
    const run = fake.start(record('# tracer: nop\\nevent\\n'), { shell });
    const { code, stderr } = await run.ended;
    const writes = fake.lines('dynamic_events');
    const attached = writes.flatMap(
      (line) => /^[prf]\d*:sept_\d+(?:_lk)?\/(\w+)/.exec(line)?.[1] ?? [],
    );

    expect(code).toBe(0);
    expect(stderr).toContain('sept: Linux 7.3.4: probes of the list 7.3, then 6.12\n');
    expect(stderr).toContain('sept: 55 of 55 probes attached\n');
    expect(attached.toSorted()).toEqual(NAMES_7_3.toSorted());
    expect(writes.filter((line) => line.startsWith('-:')).toSorted()).toEqual(
      NAMES_7_3.map(
        (name) => `-:sept_${run.pid}${LOCKS.includes(name) ? '_lk' : ''}/${name}`,
      ).toSorted(),
    );
    expect(fake.output()).toMatch(/^# probes: [\w ]+\n# tracer: nop\nevent\n$/);
  });

  test('the exit status is that of the command', async () => {
    const fake = fakeTracefs();

    expect(await fake.run(['--', 'sh', '-c', 'exit 7'], { shell })).toMatchObject({ code: 7 });
    expect(fake.outputs()).toEqual(['kvm.trace']);
  });

  test('SIGINT ends the wait for Enter: the output is written and tracefs restored', async () => {
    const fake = fakeTracefs();
    const run = fake.start([], { shell });
    await run.recording();
    fake.write('trace', 'event\n');
    run.signal('SIGINT');
    const { code } = await run.ended;

    expect(code).toBe(0);
    expect(fake.output()).toMatch(/^# probes: .*\nevent\n$/);
    expect(fake.read('options/hash-ptr')).toBe('1\n');
  });

  test('SIGTERM ends a capture without input, and its output is whole', async () => {
    const fake = fakeTracefs();
    const run = fake.start([], { shell, noInput: true });
    await run.recording();
    fake.write('trace', 'event\n');
    run.signal('SIGTERM');

    expect(await run.ended).toMatchObject({ code: 0 });
    expect(fake.outputs()).toEqual(['kvm.trace']);
    expect(fake.output()).toMatch(/^# probes: .*\nevent\n$/);
  });
});
