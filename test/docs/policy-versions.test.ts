/**
 * docs/policy-versions.md has every policy, and agrees with what each declares and with what a
 * check of some of them finds now.
 */
import { describe, expect, test } from 'vitest';
import { finalizeUnlocked, initVcpuUnlocked, mirrorNaive, POLICIES } from '../../impl/index.ts';
import {
  declaredBreaches,
  markdownOfPolicyVersions,
  runsTds,
  surveyPolicyVersions,
  verdictRow,
  type SurveyedPair,
} from '../../properties/checker/surveys/policy-versions.ts';
import { MODULE_VERSIONS } from '../../spec/tdx/versions/index.ts';
import { textOf } from '../support/repository.ts';
import { tableIn } from './document.ts';

const DOCUMENT = textOf('docs/policy-versions.md');
const MODULES = MODULE_VERSIONS.toReversed();
const ROWS = new Map(tableIn(DOCUMENT, 'policy').map(([name = '', ...cells]) => [name, cells]));

describe.each(POLICIES.filter(runsTds))('$name', (policy) => {
  test(`the row of ${policy.name} has the breaches that it declares for each version`, () => {
    const cells = ROWS.get(`\`${policy.name}\``) ?? [];
    expect(cells.length).toBe(MODULES.length);
    for (const [i, module] of MODULES.entries()) {
      const declared = declaredBreaches(policy, module);
      if (declared.length === 0) {
        expect(cells[i], module).toBe('passes');
        continue;
      }
      const found = cells[i]?.replaceAll(/\[\w+\]/g, '').match(/\w+/g);
      for (const { rule } of declared.filter(({ rare }) => rare !== true))
        expect(found, module).toContain(rule);
    }
  });
});

test.each([mirrorNaive, initVcpuUnlocked, finalizeUnlocked])(
  'the row of $name in docs/policy-versions.md is what a survey finds now',
  (policy) => {
    const pairs = surveyPolicyVersions([policy]);
    const lines = DOCUMENT.split('\n');
    const own = markdownOfPolicyVersions(pairs).split('\n');
    expect(lines).toContain(verdictRow(pairs));
    expect(own.filter((line) => line.startsWith('| `') && !lines.includes(line))).toEqual([]);
  },
);

test('a breach that the check does not find, and a verdict without one, are shown as such', () => {
  const pair: SurveyedPair = {
    policy: 'p',
    module: 'm',
    verdict: 'inconclusive',
    found: [],
    hidden: [],
    missing: [],
  };
  expect(verdictRow([pair, { ...pair, missing: [{ rule: 'S01', why: 'x' }] }])).toBe(
    '| `p` | inconclusive | [S01] |',
  );
});
