/**
 * Our own short captures: pieces of real ones, so that a clone alone can put every rule to the
 * test.
 */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { judgeTraceFile } from '../../../properties/traces/files.ts';
import { TDX_TRACE_RULE_IDS, TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { TraceSummary } from '../../../properties/traces/summary.ts';
import { pathOf } from '../../support/repository.ts';
import { nameOf } from './captures.ts';

const FOLDER = pathOf('recordings/traces/');
const PATHS = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.trace.gz'))
  .map((name) => FOLDER + name);

/**
 * What the captures of wrong kernels show first: the rule, and the line. All others are of correct
 * ones.
 */
const FIRST: ReadonlyMap<string, readonly [rule: string, line: number]> = new Map([
  ['linux-7.3.4-bug-notifier-without-flush', ['K20', 518]],
  ['linux-7.3.4-bug-split-wrong-pfn', ['K13', 166]],
  ['linux-7.3.4-bug-stale-fault', ['K37', 177]],
  ['linux-7.3.4-bug-zap-without-lock', ['K1', 534]],
  ['linux-6.12.117-bug-wrong-range', ['K21', 921]],
  ['linux-6.12.117-bug-logging-without-flush', ['K24', 1363]],
  ['tdx-bug-parent-blocked-first', ['K48', 62]],
  ['vm-bug-notifier-skips-invalid-roots', ['K22', 46]],
  ['vm-bug-flush-overwritten', ['K20', 34]],
]);

const judged = new TraceSummary();

test.each(PATHS.map((path) => [nameOf(path), path]))(
  '%s is judged as it should be',
  async (name, path) => {
    const verdict = await judgeTraceFile(path, {});
    judged.add(path, verdict, 1);

    const [first] = verdict.violations;
    expect(first === undefined ? undefined : [first.rule, first.line]).toEqual(FIRST.get(name));
    expect(verdict).toMatchObject({ unknown: {}, unreadable: 0 });
  },
);

/** What no run of three does that goes well: tests of altered traces put these to the test. */
const RARE = ['K50', 'K53', 'K66', 'K67'];

test('they put every rule to the test', () => {
  const { rules } = judged;
  expect([...rules].filter(([, { exercised }]) => exercised === 0).map(([id]) => id)).toEqual(RARE);
  expect([...rules.keys()]).toEqual([...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS]);
});
