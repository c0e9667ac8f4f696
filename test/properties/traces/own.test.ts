/** The short captures in recordings/traces: with them, a clone can exercise every rule. */
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

/** First violation in each capture of a buggy kernel. The other captures have none. */
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
  'judgeTraceFile finds the first violation of %s, or none',
  async (name, path) => {
    const verdict = await judgeTraceFile(path, {});
    judged.add(path, verdict, 1);

    const [first] = verdict.violations;
    expect(first === undefined ? undefined : [first.rule, first.line]).toEqual(FIRST.get(name));
    expect(verdict).toMatchObject({ unknown: {}, unreadable: 0 });
  },
);

/** Rules that these captures do not exercise; tests of altered traces do. */
const NOT_EXERCISED = ['K50', 'K53', 'K66', 'K67'];

test('the captures exercise every rule but four', () => {
  const { rules } = judged;
  expect([...rules].filter(([, { exercised }]) => exercised === 0).map(([id]) => id)).toEqual(
    NOT_EXERCISED,
  );
  expect([...rules.keys()]).toEqual([...TRACE_RULE_IDS, ...TDX_TRACE_RULE_IDS]);
});
