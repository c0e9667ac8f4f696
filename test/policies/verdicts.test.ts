/**
 * Every policy gets the verdict that its header claims, under every module version, from fixed seeds. The environment
 * can name other policies (SEPT_POLICY, also a file of yours), rules, versions, seeds and budgets: see test/support.
 */
import { describe, expect, test } from 'vitest';
import { check } from '../../properties/check.ts';
import { CORPUS } from '../../properties/histories/corpus.ts';
import { testKnobs } from '../support/knobs.ts';

/** Enough to put every required rule to the test; a faulty policy falls much sooner. */
const RUNS = 5000;
const RUNS_OF_FAULTY = 500;

const knobs = await testKnobs();

for (const module of knobs.modules) {
  describe(`under module ${module}`, () => {
    for (const { policy, handle, ...guard } of knobs.policies) {
      const expected = policy.breaks.filter((breach) => breach.versions?.includes(module) ?? true);
      const runs = knobs.runs ?? (expected.length === 0 ? RUNS : RUNS_OF_FAULTY);

      test(expected.length === 0
        ? `${policy.name} holds every rule, and each is put to the test`
        : `${policy.name} is caught by ${expected.map(({ rule, why }) => `${rule} (${why})`).join(', ')}`, () => {
        // a faulty policy is held to what its header says, whatever else it breaks before that
        const only = expected.length === 0 ? {} : { only: expected.map(({ rule }) => rule) };
        const verdict = check({
          policy, module, handle, ...guard, ...only, ...knobs.rules, seed: knobs.seed,
          ...(knobs.time === undefined ? { runs } : { runs: knobs.runs ?? 2 ** 31 - 1, timeLimit: knobs.time }),
          ...(knobs.history === undefined ? { corpus: CORPUS } : { corpus: [knobs.history], runs: 1 }),
        });
        console.log(`${policy.name}, module ${module}: ${verdict.verdict} in ${verdict.histories} histories, ${verdict.steps} steps`);

        if (expected.length === 0) {
          expect(verdict.findings.map(({ report }) => report.text).join('\n\n')).toBe('');
          if (knobs.history === undefined) expect(verdict.unexercised).toEqual([]);
        } else {
          expect(verdict.verdict).toBe('fails');
          expect(verdict.findings.map(({ violation }) => violation.rule)).toEqual(
            expect.arrayContaining(expected.map(({ rule }) => rule)));
        }
      });
    }
  });
}
