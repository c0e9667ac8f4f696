/** Verdicts as other tools read them: `--format ktap` and `--format junit`. */
import { describe, expect, test } from 'vitest';
import { junit } from '../../cli/formats/junit.ts';
import { ktap } from '../../cli/formats/ktap.ts';
import type { Suite } from '../../cli/formats/outcome.ts';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

const SUITE: Suite = {
  title: 'sept trace a.trace',
  notes: ['Linux 7.3'],
  outcomes: [
    { name: 'K1', ending: 'passed', note: '', details: [] },
    { name: 'K2', ending: 'failed', note: 'violations: 2', details: ['! 5  old <new> & "#1"', ''] },
    { name: 'K3', ending: 'skipped', note: 'no event #1\nin it', details: [] },
  ],
};

describe('KTAP', () => {
  test('has a plan, a result for each rule, reasons of skips and the details of failures', () => {
    expect(ktap([SUITE])).toBe(
      [
        'KTAP version 1',
        '# sept trace a.trace',
        '# Linux 7.3',
        '1..3',
        'ok 1 K1',
        '# ! 5  old <new> & "#1"',
        '#',
        'not ok 2 K2 # violations: 2',
        'ok 3 K3 # SKIP no event 1 in it',
        '# pass:1 fail:1 skip:1',
      ].join('\n'),
    );
  });

  test('nests several subjects, and fails those in which a rule fails', () => {
    const lines = ktap([SUITE, { ...SUITE, title: 'b', outcomes: [] }]).split('\n');

    expect(lines.slice(0, 3)).toEqual(['KTAP version 1', '1..2', '  KTAP version 1']);
    expect(lines.filter((line) => /^(not )?ok/u.test(line))).toEqual([
      'not ok 1 sept trace a.trace',
      'ok 2 b',
    ]);
  });
});

describe('JUnit', () => {
  test('has counts, and text that XML can hold', () => {
    const text = junit([{ ...SUITE, notes: ['\u0000a\u001B'] }]);

    expect(text).toContain('tests="3" failures="1" skipped="1"');
    expect(text).toContain('<failure message="violations: 2">! 5  old &lt;new&gt; &amp; &quot;#1');
    expect(text).toContain('<system-out>a</system-out>');
  });
});

const BUGGY = pathOf('recordings/traces/linux-7.3.4-bug-notifier-without-flush.trace.gz');

test('sept trace --format ktap lists each rule, and exits as with text', async () => {
  const { code, stdout } = await sept('trace', BUGGY, '--rule', 'K20,K21,K22', '--format', 'ktap');

  expect(code).toBe(1);
  expect(stdout.split('\n').filter((line) => /^(not )?ok/u.test(line))).toEqual([
    'not ok 1 K20 # violations: 1',
    'ok 2 K21 # SKIP no event flush_range, flush_range_ret in the trace',
    'ok 3 K22',
  ]);
});

test('sept trace --json is --format json', async () => {
  const both = await Promise.resolve([
    await sept('trace', BUGGY, '--json'),
    await sept('trace', BUGGY, '--format', 'json'),
  ]);
  const [one, other] = both.map(({ stdout }) => {
    const { rate: _, ...rest } = JSON.parse(stdout) as Record<string, unknown>; // printed by us
    return rest;
  });

  expect(one).toEqual(other);
});
