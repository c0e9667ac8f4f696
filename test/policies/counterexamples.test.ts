/** Counterexamples are short: the promise of docs/counterexamples.md, kept by running its survey. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { markdownOfQuestion, surveyQuestion } from '../../properties/surveys/question.ts';

test('every faulty policy of the question is caught from every seed, at the median within 12 rows and 3 context switches', () => {
  const surveys = surveyQuestion();

  for (const { policy, caught, seeds, rows, switches } of surveys) {
    expect({ policy, caught }).toEqual({ policy, caught: seeds });
    expect(rows, policy).toBeLessThanOrEqual(12);
    expect(switches, policy).toBeLessThanOrEqual(3);
  }
  expect(`${markdownOfQuestion(surveys)}\n`).toBe(readFileSync(new URL('../../docs/counterexamples.md', import.meta.url), 'utf8'));
});
