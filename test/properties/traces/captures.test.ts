/** Large captures of correct kernels, and of kernels with one bug put in. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { judgeTraceFile } from '../../../properties/traces/files.ts';
import { TraceJudge } from '../../../properties/traces/judge.ts';
import { TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { TraceSummary } from '../../../properties/traces/summary.ts';
import { capturesOf, metaOf, nameOf, nameOfEvent, testEach } from './captures.ts';

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

/** Rules that every capture exercises if it has their events. */
const ALWAYS = ['K2', 'K3', 'K13', 'K16', 'K20', 'K22', 'K24', 'K34'];
const IS_LACK = /^no event |^events were lost|^the address space of a memslot/;

testEach('kvm-qemu', 'judgeTraceFile reports nothing, and exercises what it can,', async (path) => {
  const { violations, rules } = await judgeTraceFile(path, {});

  expect(violations.slice(0, 3)).toEqual([]);
  const idle = ALWAYS.filter((id) => rules[id]?.exercised === 0);
  console.log(`${nameOf(path)}: ${ALWAYS.map((id) => `${id} ${rules[id]?.exercised}`).join(', ')}`);
  for (const id of idle)
    expect([
      id,
      ...Object.keys(rules[id]?.notJudged ?? {}).filter((why) => !IS_LACK.test(why)),
    ]).toEqual([id]);
});

interface Line {
  readonly from: number;
  readonly to: number;
  /** Name of its event. */
  readonly name: string | undefined;
}

function linesIn(bytes: Buffer): Line[] {
  const lines: Line[] = [];
  let from = 0;
  for (let to = bytes.indexOf('\n'); to >= 0; to = bytes.indexOf('\n', from)) {
    lines.push({ from, to, name: nameOfEvent(bytes.toString('latin1', from, to)) });
    from = to + 1;
  }
  return lines;
}

/** One capture of each kind of kernel, for what takes long. */
const ONE_EACH = /^s3-6\.12|^s6-6\.16|^s8-7\.3/;

testEach(
  'kvm-qemu',
  'judgeTrace reports nothing without any one of the events',
  (path) => {
    const bytes = gunzipSync(readFileSync(path));
    const lines = linesIn(bytes);
    for (const name of new Set(lines.flatMap((line) => line.name ?? []))) {
      const judge = new TraceJudge({ limit: 3 });
      for (const line of lines) if (line.name !== name) judge.line(bytes, line.from, line.to);
      expect([name, ...judge.end().violations]).toEqual([name]);
    }
    return Promise.resolve();
  },
  (path) => ONE_EACH.test(nameOf(path)),
);
