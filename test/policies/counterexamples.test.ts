/** Counterexamples are short: the promise of docs/counterexamples.md, kept by running its survey. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { POLICIES } from '../../impl/index.ts';
import { markdownOfSurveys, surveyAll } from '../../properties/survey.ts';

test('every faulty policy is caught from every seed, at the median within 12 rows and 3 context switches', () => {
  const surveys = surveyAll(POLICIES);

  for (const { policy, caught, seeds, rows, switches } of surveys) {
    expect({ policy, caught }).toEqual({ policy, caught: seeds });
    expect(rows, policy).toBeLessThanOrEqual(12);
    expect(switches, policy).toBeLessThanOrEqual(3);
  }
  expect(`${markdownOfSurveys(surveys)}\n`).toBe(readFileSync(new URL('../../docs/counterexamples.md', import.meta.url), 'utf8'));
});
