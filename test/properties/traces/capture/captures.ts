/** What the tests of the capture script share. */
import { onTestFinished } from 'vitest';
import { captureScript } from '../../../../properties/traces/capture/script.ts';
import { PROBES } from '../../../../properties/traces/kernels/probes.ts';
import { TRACEPOINTS } from '../../../../properties/traces/probes.ts';
import { FakeTracefs } from './fake-tracefs.ts';

/** A tracefs without instances, until the test ends. */
export function fakeTracefs(script = captureScript()): FakeTracefs {
  const fake = new FakeTracefs(script);
  onTestFinished(() => fake.dispose());
  return fake;
}

/** A tracefs that makes instances, and has one of another user. */
export function withInstances(): FakeTracefs {
  const fake = fakeTracefs();
  fake.write('instances/theirs/tracing_on', '1\n');
  return fake;
}

export const NAMES_7_3: readonly string[] = PROBES['7.3'].map(({ name }) => name);
export const LOCKS: readonly string[] = ['rl', 'rl_ret', 'ru', 'wl', 'wl_ret', 'wu'];
export const EVENTS: readonly string[] = TRACEPOINTS.map(({ event }) => event);

/** Arguments for a command that writes a trace, as the kernel would during the recording. */
export const record = (text: string): string[] => [
  '--',
  'sh',
  '-c',
  `printf '${text}' > "$TRACEFS/trace"`,
];

/** Names in the first line of an output, sorted. */
export const declared = (text: string): string[] =>
  (/^# probes: (.*)$/m.exec(text)?.[1] ?? '').split(' ').toSorted();
