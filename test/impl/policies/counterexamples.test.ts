/** Counterexamples are as short as docs/counterexamples.md claims: half of its survey runs. */
import { expect, test } from 'vitest';
import { rowOf, surveyQuestion } from '../../../properties/checker/surveys/question.ts';
import { NEWEST_VERSION } from '../../../spec/tdx/versions/index.ts';
import { textOf } from '../../support/repository.ts';

test('every faulty policy is caught from every seed, within 12 rows and 3 switches', () => {
  const document = textOf('docs/counterexamples.md').split('\n');

  for (const survey of surveyQuestion([NEWEST_VERSION])) {
    const { policy, caught, seeds, rows, switches } = survey;
    expect({ policy, caught }).toEqual({ policy, caught: seeds });
    expect(rows, policy).toBeLessThanOrEqual(12);
    expect(switches, policy).toBeLessThanOrEqual(3);
    expect(document).toContain(rowOf(survey));
  }
});
