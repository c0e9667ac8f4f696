/**
 * Traces of TDs with one thing altered are refused by the rule that the alteration breaks, at its
 * line. Shortened traces are not refused.
 */
import { describe, expect, test } from 'vitest';
import { judgeTrace } from '../../../properties/traces/judge.ts';
import { TDX_TRACE_RULE_IDS } from '../../../properties/traces/rules/index.ts';
import { TDX_CALLS } from './altering/tdx-calls.ts';
import { BUSY, DELETED, MERGED, eventNamed, PLAIN, SPLIT } from './altering/tdx-lines.ts';
import { TDX_MIRROR } from './altering/tdx-mirror.ts';

const ALTERATIONS = [...TDX_MIRROR, ...TDX_CALLS];

test.each([
  ['a page that is mapped and unmapped', PLAIN],
  ['a removal that is refused as BUSY', BUSY],
  ['a split', SPLIT],
  ['a merge', MERGED],
  ['the deletion of a memslot', DELETED],
] as const)('judgeTrace reports nothing for a correct trace of %s', (_, lines) => {
  expect(judgeTrace(lines).violations).toEqual([]);
});

test.each(ALTERATIONS)('judgeTrace reports $rule first when $what', ({ of, rule, alter }) => {
  const lines = [...of];
  const line = alter(lines) + 1;
  const { violations } = judgeTrace(lines);

  expect(violations.filter((violation) => violation.line < line)).toEqual([]);
  expect(
    violations.filter((violation) => violation.line === line).map((violation) => violation.rule),
  ).toContain(rule);
});

test('every rule about TDs has an alteration that breaks it', () => {
  const rules = new Set(ALTERATIONS.map(({ rule }) => rule));
  expect([...rules].toSorted()).toEqual([...TDX_TRACE_RULE_IDS].toSorted());
});

describe('an incomplete trace of a TD', () => {
  const TRACES = [PLAIN, BUSY, SPLIT, MERGED, DELETED];
  const events = [
    ...new Set(
      TRACES.flatMap((lines) => lines.flatMap((line) => /\d: (\w+): /.exec(line)?.[1] ?? [])),
    ),
  ];

  test.each(events)('judgeTrace reports nothing for traces without %s events', (event) => {
    for (const lines of TRACES) {
      const [head = '', ...others] = lines.filter((line) => !eventNamed(event).test(line));
      const recorded = head
        .split(' ')
        .filter((word) => word !== event)
        .join(' ');
      expect(judgeTrace([recorded, ...others]).violations).toEqual([]);
      // a real trace does not list its probes
      expect(judgeTrace(others).violations).toEqual([]);
    }
  });

  test('judgeTrace reports nothing for a trace that begins or ends anywhere', () => {
    for (const [head = '', ...lines] of TRACES) {
      for (let at = 0; at < lines.length; at += 3) {
        expect(judgeTrace([head, ...lines.slice(at)]).violations).toEqual([]);
        expect(judgeTrace([head, ...lines.slice(0, at)]).violations).toEqual([]);
      }
    }
  });

  test('judgeTrace reports nothing for a trace with a mark where events were lost', () => {
    for (const lines of TRACES) {
      for (let at = 1; at < lines.length; at += 3) {
        const verdict = judgeTrace([
          ...lines.slice(0, at),
          'CPU:0 [LOST 4 EVENTS]',
          ...lines.slice(at + 4),
        ]);
        expect(verdict.violations).toEqual([]);
      }
    }
  });
});
