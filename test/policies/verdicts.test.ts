/** Every shipped policy gets the verdict that its header claims, under both module versions, from fixed seeds. */
import { describe, expect, test } from 'vitest';
import { POLICIES } from '../../impl/index.ts';
import { check } from '../../properties/check.ts';
import { MODULE_VERSIONS } from '../../spec/tdx/versions.ts';

/** Enough to put every required rule to the test; a faulty policy falls much sooner. */
const RUNS = 4000;
const RUNS_OF_FAULTY = 500;

for (const module of MODULE_VERSIONS) {
  describe(`under module ${module}`, () => {
    for (const policy of POLICIES) {
      const expected = policy.breaks.filter((breach) => breach.versions?.includes(module) ?? true);

      test(expected.length === 0
        ? `${policy.name} holds every rule, and each is put to the test`
        : `${policy.name} is caught by ${expected.map(({ rule, why }) => `${rule} (${why})`).join(', ')}`, () => {
        const verdict = check({ policy, module, seed: 1, runs: expected.length === 0 ? RUNS : RUNS_OF_FAULTY });
        console.log(`${policy.name}, module ${module}: ${verdict.verdict} in ${verdict.histories} histories, ${verdict.steps} steps`);

        if (expected.length === 0) {
          expect(verdict.findings.map(({ report }) => report.text)).toEqual([]);
          expect(verdict.unexercised).toEqual([]);
          expect(verdict.verdict).toBe('passes');
        } else {
          expect(verdict.verdict).toBe('fails');
          expect(verdict.findings.map(({ violation }) => violation.rule)).toEqual(
            expect.arrayContaining(expected.map(({ rule }) => rule)));
        }
      });
    }
  });
}
