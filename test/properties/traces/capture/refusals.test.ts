/** What the script of `sept probes --script` refuses, before it changes anything. */
import { expect, test } from 'vitest';
import { fakeTracefs } from './captures.ts';
import type { RunOptions } from './fake-tracefs.ts';

const REFUSED: readonly (readonly [string, readonly string[], RunOptions, line: string])[] = [
  [
    'a user that is not root',
    [],
    { uid: 1000 },
    'not root, which tracefs asks for: run this script with sudo',
  ],
  [
    'an unknown option',
    ['--frob'],
    {},
    '--frob: no such option; -h prints the options, and a command follows --',
  ],
  ['an option without its value', ['-o'], {}, '-o: a value is missing; -h prints the options'],
  ['a buffer that is no number', ['-b', 'big'], {}, '-b big: not a number of KB'],
  [
    'a name of a task that the kernel cuts off',
    ['-c', 'kvm-nx-lpage-recovery'],
    {},
    "-c kvm-nx-lpage-recovery: the kernel keeps 15 characters of a name; write 'kvm-nx-lpage-re'",
  ],
  [
    'a kernel that no list is for',
    [],
    { release: '5.15.0' },
    'Linux 5.15.0: no list of probes is for it; to try one: sept probes --script --kernel V',
  ],
  ['a release that is no version', [], { release: 'x' }, 'uname -r: x: not a version of Linux'],
];

test.each(REFUSED)('the script refuses %s with one line', async (_, args, options, line) => {
  const fake = fakeTracefs();
  const before = fake.state();

  expect(await fake.run(args, options)).toEqual({ code: 125, stderr: `sept: ${line}\n` });
  expect(fake.outputs()).toEqual([]);
  for (const [name, text] of Object.entries(before)) expect(fake.read(name), name).toBe(text);
});

test('the script refuses a command that does not exist with the status of a shell', async () => {
  expect(await fakeTracefs().run(['--', 'no-such-program'])).toEqual({
    code: 127,
    stderr: 'sept: no-such-program: no such command\n',
  });
});

test('the script refuses a kernel without KVM', async () => {
  const fake = fakeTracefs();
  fake.remove('events/kvm');
  const { code, stderr } = await fake.run([]);

  expect(code).toBe(125);
  expect(stderr).toMatch(
    /^sept: \S+\/events\/kvm: absent, as KVM is not loaded; modprobe kvm_amd or kvm_intel\n$/,
  );
});

test('the script refuses a folder that is no tracefs', async () => {
  const fake = fakeTracefs();
  fake.remove('events');
  fake.remove('dynamic_events');
  const { stderr } = await fake.run([]);

  expect(stderr).toContain('/dynamic_events: absent; the kernel needs CONFIG_KPROBE_EVENTS\n');
});

test.each([
  ['current_tracer', 'function\n'],
  ['set_event', 'sched:sched_switch\n'],
])('the script refuses the global buffer if %s shows that it is in use', async (name, text) => {
  const fake = fakeTracefs();
  fake.write(name, text);
  const before = fake.state();
  const { code, stderr } = await fake.run([]);

  expect(code).toBe(125);
  expect(stderr).toContain(
    ': in use, and the kernel makes no instance: end the other tracing first\n',
  );
  for (const [file, old] of Object.entries(before)) expect(fake.read(file), file).toBe(old);
});
