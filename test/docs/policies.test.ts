/** docs/policies.md and docs/campaign.md agree with what a check of some policies finds now. */
import { expect, test } from 'vitest';
import { frozenMirror, mirrorNaive, POLICIES, upstream7 } from '../../impl/index.ts';
import { CAMPAIGN } from '../../properties/checker/surveys/campaign.ts';
import { columns, rowOf, surveyPolicies } from '../../properties/checker/surveys/policies.ts';
import { textOf } from '../support/repository.ts';

const lines = textOf('docs/policies.md').split('\n');

test('every shipped policy is in docs/policies.md', () => {
  for (const { name, title } of POLICIES)
    expect(
      lines.some((line) => line.startsWith(`| \`${name}\` |`) && line.includes(title)),
      name,
    ).toBe(true);
});

test.each(surveyPolicies([frozenMirror, upstream7, mirrorNaive]))(
  'the rows of $policy.name in docs/policies.md are those that a survey finds now',
  (one) => {
    const rows = columns()
      .map((rules) => rowOf(one, rules))
      .filter((row) => /\| [+!?]/.test(row));

    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter((row) => !lines.includes(row))).toEqual([]);
  },
);

test('each policy of the long campaign passes, with every required rule well tested', () => {
  const campaign = textOf('docs/campaign.md').split('\n');

  for (const name of CAMPAIGN) {
    const row = campaign.find((line) => line.startsWith(`| \`${name}\` |`));
    expect(row, name).toMatch(/\| 1\.5 \| 10\d{5} \| \d+ \| passes \|  \|  \|$/);
  }
});
