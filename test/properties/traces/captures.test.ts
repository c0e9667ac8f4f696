/** Large captures of correct kernels, and of kernels with one bug put in. */
import { expect, test } from 'vitest';
import { judgeTraceFile } from '../../../properties/traces/files.ts';
import { TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { TraceSummary } from '../../../properties/traces/summary.ts';
import { capturesOf, metaOf, nameOf, testEach } from './captures.ts';

/** Rules that the bugs of kvm-buggy break, by the number in the names of their captures. */
const BROKEN: Readonly<Record<string, readonly string[]>> = {
  bug01: ['K20'],
  bug03: ['K37'],
  bug051: ['K1'],
  bug11: ['K24'],
  bug12: ['K21', 'K24'],
  bug14: ['K13'],
};

const judged = new TraceSummary();

testEach('kvm', 'judgeTraceFile reports nothing', async (path) => {
  const verdict = await judgeTraceFile(path, {});
  judged.add(path, verdict, 1);

  expect(verdict.violations.slice(0, 3)).toEqual([]);
  expect(verdict).toMatchObject({ unknown: {}, unreadable: 0, lost: 0 });
});

const whole = capturesOf('kvm').length > 0;
test.runIf(whole)('the captures exercise every rule about any VM', () => {
  const { rules } = judged;
  console.log(
    `${judged.traces.length} captures, ${judged.events} events: ` +
      [...rules].map(([id, { exercised }]) => `${id} ${exercised}`).join(', '),
  );
  expect([...rules].filter(([, { exercised }]) => exercised === 0)).toEqual([]);
  expect([...rules.keys()]).toEqual(TRACE_RULE_IDS);
});

interface Meta {
  readonly first: { readonly line: number } | null;
}

/** Line at which the bug of a capture shows first, by its description; null for a control. */
function firstLine(path: string): number | null {
  const { first } = metaOf(path) as Meta; // see the README of the captures
  return first === null ? null : first.line;
}

testEach(
  'kvm-buggy',
  'judgeTraceFile reports the bug from its first line on, or nothing for a control,',
  async (path) => {
    const verdict = await judgeTraceFile(path, { limit: 100_000 });
    const rules = BROKEN[/-(bug\d+|ctl\d*)-/.exec(nameOf(path))?.[1] ?? ''];
    if (rules === undefined) {
      expect(verdict.violations.slice(0, 3)).toEqual([]);
      return;
    }

    expect(verdict.violations[0]?.line).toBe(firstLine(path));
    expect([...new Set(verdict.violations.map(({ rule }) => rule))].toSorted()).toEqual(rules);
  },
);
