/** Probes that `sept probes` prints, and the rules that need each. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { captureScript } from '../../../properties/traces/capture/script.ts';
import { KERNEL_NAMES, type KernelName } from '../../../properties/traces/kernels/names.ts';
import { PROBES } from '../../../properties/traces/kernels/probes.ts';
import { definitionOf, probesFor, rulesThatNeed } from '../../../properties/traces/probes.ts';
import { EVENT_KINDS } from '../../../properties/traces/reader/event-table.ts';
import { TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { sept } from '../../cli/run.ts';
import { skipWithout } from '../../support/shared.ts';
import { capturesOf } from './captures.ts';

/** List of the probes of the captures with most probes, by kernel. */
const LISTS: readonly (readonly [KernelName, string])[] = [
  ['6.1', 'linux-6.1.192.probes.txt'],
  ['6.12', 'linux-6.12.117-b.probes.txt'],
  ['7.3', 'linux-7.3.4-c.probes.txt'],
];

/** The value that the recordings' probes do not fetch. */
const ADDED = / as_id=(range->)?slot->as_id:u16$/;

describe('probesFor', () => {
  const [capture] = capturesOf('kvm');
  if (capture === undefined) {
    skipWithout('kvm', 'probesFor prints the probes of captures');
  } else {
    test.each(LISTS)(
      'probesFor prints for Linux %s the probes of its captures, with address spaces',
      (kernel, name) => {
        const recorded = readFileSync(`${dirname(capture)}/${name}`, 'utf8')
          .trimEnd()
          .split('\n');

        expect(recorded.every((line) => line.startsWith('OK '))).toBe(true);
        expect(
          PROBES[kernel].map((probe) => definitionOf(probe).replace(ADDED, '')).toSorted(),
        ).toEqual(recorded.map((line) => line.replace(/^OK +/, '').trimEnd()).toSorted());
      },
    );

    test('every kernel with a list of probes has probes', () => {
      const kernels = readdirSync(dirname(capture)).flatMap(
        (name) => /^linux-(\d+\.\d+).*\.probes\.txt$/.exec(name)?.[1] ?? [],
      );

      expect(Object.keys(PROBES)).toEqual(expect.arrayContaining(kernels));
    });
  }

  test.each(KERNEL_NAMES)(
    'probesFor prints each probe of Linux %s once, as an event that the reader knows',
    (kernel) => {
      const lines = probesFor(kernel)
        .split('\n')
        .filter((line) => !line.startsWith('#'));
      const known = new Set<string>(EVENT_KINDS.map(({ name }) => name));

      expect(lines.toSorted()).toEqual(
        PROBES[kernel].map((probe) => definitionOf(probe)).toSorted(),
      );
      expect(
        lines
          .map((line) => /^[\w]+:\w+\/(\w+) /.exec(`${line} `)?.[1] ?? '')
          .filter((name) => !known.has(name)),
      ).toEqual([]);
    },
  );
});

/** Rules that need an event which the probes and tracepoints of 7.3 lack. */
function lackingIn(tdx: boolean): readonly string[] {
  const script = captureScript({ kernel: '7.3', tdx });
  const missing = EVENT_KINDS.map(({ name }) => name).filter(
    (name) => !new RegExp(`/${name}\\b`).test(script),
  );
  return [...new Set(missing.flatMap(rulesThatNeed))].toSorted();
}

test('the probes of Linux 7.3 suffice for every rule about any VM', () => {
  expect(lackingIn(false).filter((id) => TRACE_RULE_IDS.includes(id))).toEqual([]);
});

test('the probes of a TDX host suffice for every rule but K59 and those about large pages', () => {
  // TDH.VP.ENTER takes no probe, and no kernel has large pages of TDs yet
  expect(lackingIn(true)).toEqual(['K59', 'K65', 'K66', 'K67']);
});

describe('sept probes', () => {
  test('sept probes prints the rules that need a probe', async () => {
    const { code, stdout } = await sept('probes', '--kernel', '6.12');

    expect(code).toBe(0);
    expect(stdout).toContain(
      '\n# free_rcu: K5, K16, K35\nf:kv/free_rcu tdp_mmu_free_sp_rcu_callback ',
    );
  });

  test.each([[[]], [['--kernel', '6.12']], [['--tdx']]])(
    'sept probes --script %j prints a script for the traced host',
    async (args) => {
      const { code, stdout } = await sept('probes', '--script', ...args);

      expect(code).toBe(0);
      expect(stdout).toMatch(/^#!\/bin\/sh\n/);
      expect(stdout).toMatch(/\nmain "\$@"\n$/);
      expect(stdout.includes('tdh_mem_page_aug')).toBe(args.includes('--tdx'));
      expect(stdout.includes('|7.3|')).toBe(!args.includes('6.12'));
    },
  );

  test.each([
    [['--kernel', '6.12', '--tdx'], 'sept: Linux 6.12 has no TDs; --tdx takes --kernel 7.3\n'],
    [
      [],
      'sept: probes: takes --kernel 6.1, 6.12, 6.16, 6.18, 7.2, 7.3, or --script for all of them\n',
    ],
    [
      ['--script', '--kernel', '6.1', '--tdx'],
      'sept: Linux 6.1 has no TDs; --tdx takes --kernel 7.3\n',
    ],
    [
      ['--kernel', '5.4'],
      "error: option '--kernel <version>' argument '5.4' is invalid. " +
        'Allowed choices are 6.1, 6.12, 6.16, 6.18, 7.2, 7.3.\n',
    ],
  ])('sept probes refuses %j with one line', async (args, stderr) => {
    expect(await sept('probes', ...args)).toEqual({ code: 2, stdout: '', stderr });
  });
});
