/** What the script of `sept probes --script` sets in tracefs, and that it restores it. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  declared,
  EVENTS,
  fakeTracefs,
  LOCKS,
  NAMES_7_3,
  record,
  withInstances,
} from './captures.ts';
import type { FakeTracefs } from './fake-tracefs.ts';

/** State of tracefs while a command runs, and the state before and after. */
async function states(
  fake: FakeTracefs,
  args: readonly string[] = [],
): Promise<Record<'before' | 'during' | 'after', Record<string, string>> & { pid: number }> {
  const before = fake.state();
  const run = fake.start([...args]);
  await run.recording();
  const during = fake.state();
  run.type('\n');
  expect(await run.ended).toMatchObject({ code: 0 });
  return { before, during, after: fake.state(), pid: run.pid };
}

test('the global buffer has its clock, options and size back at the end', async () => {
  const fake = fakeTracefs();
  const { before, during, after } = await states(fake);
  const changed = (state: Record<string, string>): string[] =>
    Object.keys(before).filter((name) => state[name] !== before[name] && name !== 'dynamic_events');

  expect(during).toMatchObject({
    trace_clock: 'counter\n',
    buffer_size_kb: '1024\n',
    tracing_on: '1\n',
    saved_cmdlines_size: '4096\n',
    'options/hash-ptr': '0\n',
    'options/irq-info': '1\n',
    'options/overwrite': '0\n',
    'events/kvmmmu/fast_page_fault/enable': '1\n',
  });
  expect(changed(after).toSorted()).toEqual(['buffer_size_kb', 'trace', 'trace_clock']);
  // what these files print is not what the kernel reads from them
  expect(after).toMatchObject({ buffer_size_kb: '1408\n', trace_clock: 'local\n', trace: '' });
});

test('an instance takes the events, and the global buffer keeps its own', async () => {
  const fake = withInstances();
  const { before, during, after, pid } = await states(fake);
  const own = `instances/sept_${pid}`;

  expect(during).toMatchObject({
    trace: '# theirs\n',
    trace_clock: before['trace_clock'],
    'events/kvmmmu/fast_page_fault/enable': '0\n',
    [`${own}/options/hash-ptr`]: '0\n',
    [`${own}/trace_clock`]: 'counter\n',
    [`${own}/tracing_on`]: '1\n',
    [`${own}/events/kvmmmu/fast_page_fault/enable`]: '1\n',
    [`${own}/events/sept_${pid}/enable`]: '1\n',
    [`${own}/events/sept_${pid}_lk/enable`]: '1\n',
  });
  expect(Object.keys(after).filter((name) => name.startsWith('instances/'))).toEqual([
    'instances/theirs/tracing_on',
  ]);
  for (const name of Object.keys(before))
    if (name !== 'dynamic_events') expect(after[name], name).toBe(before[name]);
});

test('lock events are those of tasks that change page tables, and those asked for', async () => {
  const fake = fakeTracefs();
  const { during, pid } = await states(fake, ['-c', 'virtiofsd', '--comm', 'my *']);
  const filter = during[`events/sept_${pid}_lk/filter`] ?? '';

  expect(filter).toMatch(/^comm ~ "CPU \*" \|\| comm ~ "qemu\*" \|\| /);
  expect(filter).toMatch(/ \|\| comm ~ "virtiofsd" \|\| comm ~ "my \*"\n$/);
  expect(filter.length).toBeLessThan(4096);
  // a filter on some tasks leaves the judge without the locks of others
  expect(declared(fake.output())).toEqual(
    [...NAMES_7_3.filter((name) => !LOCKS.includes(name)), ...EVENTS].toSorted(),
  );
});

test('with --all-tasks, the header lists exactly what was attached', async () => {
  const fake = fakeTracefs();
  const { during, pid } = await states(fake, ['--all-tasks']);

  expect(during[`events/sept_${pid}_lk/filter`]).toBe('0\n');
  expect(declared(fake.output())).toEqual([...NAMES_7_3, ...EVENTS].toSorted());
});

test('a second capture works, and leaves what the first has left', async () => {
  const fake = withInstances();
  await fake.run(record('one\\n'));
  const { code } = await fake.run(['-o', 'second.trace', '--', 'true']);

  expect(code).toBe(0);
  expect(fake.outputs().toSorted()).toEqual(['kvm.trace', 'second.trace']);
  expect(fake.read('options/hash-ptr')).toBe('1\n');
});

test('what a killed run has left is removed, and what is of others stays', async () => {
  const fake = withInstances();
  const dead = 2 ** 22 + 1; // above the greatest id of a process
  fake.write(
    'dynamic_events',
    [
      'p:kprobes/theirs do_exit',
      `p:sept_${dead}/chg f`,
      `r64:sept_${dead}_lk/rl_ret g a=$arg1`,
      `p:sept_${process.pid}/map h\n`,
    ].join('\n'),
  );
  fake.write(`instances/sept_${dead}/tracing_on`, '1\n');
  const { code, stderr } = await fake.run(record(''));
  const removed = fake.lines('dynamic_events').filter((line) => line.startsWith('-:'));

  expect(code).toBe(0);
  expect(stderr).toContain(`sept: removed the probes of process ${dead}, which was killed\n`);
  expect(stderr).toContain(
    `sept: process ${process.pid} runs: its probes sept_${process.pid} stay\n`,
  );
  expect(removed.slice(0, 2)).toEqual([`-:sept_${dead}/chg`, `-:sept_${dead}_lk/rl_ret`]);
  expect(removed).not.toContain('-:kprobes/theirs');
  expect(removed).not.toContain(`-:sept_${process.pid}/map`);
  expect(fake.has(`instances/sept_${dead}`)).toBe(false);
  expect(fake.has('instances/theirs')).toBe(true);
});

test('a signal before the recording restores everything and writes nothing', async () => {
  const fake = withInstances();
  fake.remove('available_filter_functions');
  const before = fake.state();
  execFileSync('mkfifo', [join(fake.path, 'available_filter_functions')]);
  const run = fake.start([]);
  const option = `instances/sept_${run.pid}/options/hash-ptr`;
  while (!fake.has(option) || fake.read(option) !== '0\n')
    await new Promise((resolve) => setTimeout(resolve, 10));
  run.signal('SIGTERM');

  expect(await run.ended).toMatchObject({ code: 143 });
  expect(fake.outputs()).toEqual([]);
  expect(fake.has(`instances/sept_${run.pid}`)).toBe(false);
  for (const [name, text] of Object.entries(before)) expect(fake.read(name), name).toBe(text);
});

test('SIGINT during a command ends both, and the output is written', async () => {
  const fake = fakeTracefs();
  const run = fake.start(['--', 'sh', '-c', 'echo "sept: recording: now" >&2; sleep 60']);
  await run.recording();
  run.signal('SIGINT');

  expect(await run.ended).toMatchObject({ code: 130 });
  expect(fake.outputs()).toEqual(['kvm.trace']);
  expect(fake.read('options/hash-ptr')).toBe('1\n');
});
