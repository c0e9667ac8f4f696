/** The output of the script of `sept probes --script`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { declared, fakeTracefs, record } from './captures.ts';

test('it appears only when it is whole', async () => {
  const fake = fakeTracefs();
  const run = fake.start([]);
  await run.recording();

  expect(fake.outputs()).not.toContain('kvm.trace');
  fake.write('trace', 'event\n');
  run.type('\n');
  await run.ended;
  expect(fake.outputs()).toEqual(['kvm.trace']);
});

test('if it cannot be written, nothing of it is left, and tracefs is restored', async () => {
  const fake = fakeTracefs();
  const spoil = ['--', 'sh', '-c', 'rm "$TRACEFS/trace" && mkdir "$TRACEFS/trace"'];
  const { code, stderr } = await fake.run(spoil);

  expect(code).toBe(125);
  expect(stderr).toContain('sept: kvm.trace: could not be written, and the capture is lost');
  expect(fake.outputs()).toEqual([]);
  expect(fake.read('options/hash-ptr')).toBe('1\n');
});

test('if it cannot be compressed from the trace, nothing of it is left either', async () => {
  const fake = fakeTracefs();
  const spoil = ['-z', '--', 'sh', '-c', 'rm "$TRACEFS/trace" && mkdir "$TRACEFS/trace"'];

  expect(await fake.run(spoil)).toMatchObject({ code: 125 });
  expect(fake.outputs()).toEqual([]);
});

test('with -z it is compressed', async () => {
  const fake = fakeTracefs();
  await fake.run(['-z', ...record('event\\n')]);
  const text = gunzipSync(readFileSync(join(fake.folder, 'kvm.trace.gz'))).toString();

  expect(text).toMatch(/^# probes: .*\nevent\n$/);
});

test('an output that exists is overwritten only with -f', async () => {
  const fake = fakeTracefs();
  writeFileSync(join(fake.folder, 'kvm.trace'), 'earlier\n');
  const refused = await fake.run(record('event\\n'));

  expect(refused.code).toBe(125);
  expect(refused.stderr).toContain('sept: kvm.trace: exists; -f overwrites it\n');
  expect(fake.output()).toBe('earlier\n');
  expect(await fake.run(['-f', ...record('event\\n')])).toMatchObject({ code: 0 });
  expect(fake.output()).toMatch(/\nevent\n$/);
});

test('it ends where the first buffer was full, as later events of that CPU are lost', async () => {
  const fake = fakeTracefs();
  fake.write(
    'per_cpu/cpu1/stats',
    'entries: 2\noverrun: 0\ncommit overrun: 0\ndropped events: 9\n',
  );
  fake.write('per_cpu/cpu1/trace', '# head\n t-1 [001] 1: a: x\n t-1 [001] 3: b: y\n');
  const { code, stderr } = await fake.run(
    record(
      '# head\\n t-1 [001] 1: a: x\\n t-2 [000] 2: c: z\\n' +
        ' t-1 [001] 3: b: y\\n t-2 [000] 4: d: w\\n',
    ),
  );

  expect(code).toBe(0);
  expect(stderr).toContain(
    'sept: the buffer of CPU 1 was full: the output ends there; take a larger --buffer\n',
  );
  expect(fake.output().split('\n').slice(1)).toEqual([
    '# head',
    ' t-1 [001] 1: a: x',
    ' t-2 [000] 2: c: z',
    ' t-1 [001] 3: b: y',
    '',
  ]);
});

test('its header does not list a probe with hits that were missed', async () => {
  const fake = fakeTracefs();
  fake.write('kprobe_profile', '  chg   12   0\n  free_rcu   10   3\n');
  const { stderr } = await fake.run(record(''));

  expect(stderr).toContain('sept: some hits of the probe free_rcu were missed: ');
  expect(declared(fake.output())).toContain('chg');
  expect(declared(fake.output())).not.toContain('free_rcu');
});
