/**
 * Captures of real kernels: what correct ones did is accepted, and what wrong ones did is refused
 * where it shows.
 */
import { expect, test } from 'vitest';
import { judgeTraceFile } from '../../../properties/traces/files.ts';
import { TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { TraceSummary } from '../../../properties/traces/summary.ts';
import { capturesOf, metaOf, nameOf, testEach } from './captures.ts';

/** The rules that the bugs of kvm-buggy break, by the number that their captures are named after. */
const BROKEN: Readonly<Record<string, readonly string[]>> = {
  bug01: ['K20'],
  bug03: ['K37'],
  bug051: ['K1'],
  bug11: ['K24'],
  bug12: ['K21', 'K24'],
  bug14: ['K13'],
};

const judged = new TraceSummary();

testEach('kvm', 'no rule is broken', async (path) => {
  const verdict = await judgeTraceFile(path, {});
  judged.add(path, verdict, 1);

  expect(verdict.violations.slice(0, 3)).toEqual([]);
  expect(verdict).toMatchObject({ unknown: {}, unreadable: 0, lost: 0 });
});

const whole = capturesOf('kvm').length > 0;
test.runIf(whole)('the captures put every rule to the test', () => {
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

/** Where the makers of a capture say that its bug shows first; null for a control. */
function firstLine(path: string): number | null {
  const { first } = metaOf(path) as Meta; // see the README of the captures
  return first === null ? null : first.line;
}

testEach(
  'kvm-buggy',
  'what is wrong is refused from its first line on, and a control is accepted',
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
