/** A real capture that was altered is refused, by the rule and at the line that it is about. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { judgeTrace } from '../../properties/traces/judge.ts';
import { ALTERATIONS } from './alterations.ts';

const linesOf = (capture: string): string[] =>
  gunzipSync(readFileSync(new URL(`../../recordings/traces/${capture}.trace.gz`, import.meta.url))).toString('latin1').split('\n');

test.each([...new Set(ALTERATIONS.map(({ capture }) => capture))])('%s is accepted as it is', (capture) => {
  expect(judgeTrace(linesOf(capture)).violations).toEqual([]);
});

test.each(ALTERATIONS)('$what: $rule, where it shows', ({ capture, rule, alter }) => {
  const lines = linesOf(capture);
  const line = alter(lines) + 1;
  const { violations } = judgeTrace(lines);

  expect(violations.filter((violation) => violation.line < line)).toEqual([]);
  expect(violations.filter((violation) => violation.line === line).map((violation) => violation.rule)).toContain(rule);
});
