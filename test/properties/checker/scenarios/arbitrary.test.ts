/** Random scenarios: drawn from tapes, within their shapes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decode,
  ScenarioArbitrary,
  tapeLength,
} from '../../../../properties/checker/scenarios/arbitrary.ts';
import { formatScenario } from '../../../../properties/checker/scenarios/text.ts';
import { TD_SHAPE } from '../../../../properties/checker/shapes.ts';
import { operationCount } from '../../../support/operation-count.ts';

describe('random scenarios', () => {
  test('equal seeds give equal scenarios on every machine', () => {
    const texts = fc
      .sample(new ScenarioArbitrary(TD_SHAPE), { seed: 42, numRuns: 4 })
      .map(formatScenario);

    expect(texts).toMatchInlineSnapshot(`
      [
        "v0: accept-huge 0; touch 1; accept 3 | @v0.1.2?2 @v0.0.88>2 @x0.0.23>2 @x0.0.59>2 @x0.0.1>2",
        "v0: idle 1; accept-huge 3; accept 2; accept 1 | @x0.0.8>1",
        "h0: demote 2; merge-folio 2; split-folio 1 | v0: touch 1; idle 0; accept 0; touch 1 | @v0.2.24>2 @v0.0.7>2 @v0.0.36>2 @x0.0.0>1 @x0.0.72>2",
        "v0: accept 4; accept 1; read 0; accept-huge 0 | h0: split-folio 1; demote 5; promote 0 | v1: accept-huge 1; accept-huge 0; idle 4; accept-huge 0 | @h0.1.10>2 @x0.0.9>1 @x0.0.66>2",
      ]
    `);
  });

  test('a scenario stays within its shape', () => {
    fc.assert(
      fc.property(new ScenarioArbitrary(TD_SHAPE), (scenario) => {
        expect(scenario.actors.length).toBeLessThanOrEqual(TD_SHAPE.roles.length);
        expect(scenario.deviations.length).toBeLessThanOrEqual(TD_SHAPE.maxDeviations);
        for (const { role, operations } of scenario.actors) {
          expect(operations.length).toBeLessThanOrEqual(TD_SHAPE.maxOperations);
          for (const { name, gfn } of operations) {
            expect(TD_SHAPE.operations[role]).toContain(name);
            expect(gfn).toBeLessThan(TD_SHAPE.gfns);
          }
        }
      }),
      { seed: 5, numRuns: 1000 },
    );
  });

  test('an empty tape decodes to the simplest scenario', () => {
    const scenario = decode(new Uint8Array(tapeLength(TD_SHAPE)), TD_SHAPE);

    expect(formatScenario(scenario)).toBe('v0: touch 0');
    expect(operationCount(scenario)).toBe(1);
  });

  test('fast-check shrinks a scenario by its actors, operations and deviations', () => {
    const property = fc.property(
      new ScenarioArbitrary(TD_SHAPE),
      (scenario) => !scenario.actors.some((a) => a.operations.some((o) => o.name === 'demote')),
    );
    const [minimal] = fc.check(property, { seed: 6, numRuns: 1000 }).counterexample ?? [];

    expect(minimal === undefined ? null : formatScenario(minimal)).toMatch(
      /^(v0: \w+ 0 \| )?h0: demote 0$|^v0: ?\| h0: demote 0$/,
    );
  });
});
