/** Scenarios as text, and errors in it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScenarioArbitrary } from '../../../../properties/checker/scenarios/arbitrary.ts';
import {
  formatScenario,
  ScenarioSyntaxError,
  parseScenario,
} from '../../../../properties/checker/scenarios/text.ts';
import { TD_SHAPE } from '../../../../properties/checker/shapes.ts';

describe('a scenario as text', () => {
  test('the text of a scenario has its actors, operations and deviations', () => {
    expect(parseScenario('v0: touch 0; read 2 | h0: unmap 0+2 | @v0.1.17>1 @h0.0.5?1')).toEqual({
      vm: 'td',
      actors: [
        {
          role: 'vcpu',
          operations: [
            { name: 'touch', gfn: 0, pages: 1 },
            { name: 'read', gfn: 2, pages: 1 },
          ],
        },
        { role: 'host', operations: [{ name: 'unmap', gfn: 0, pages: 2 }] },
      ],
      deviations: [
        { actor: 0, operation: 1, step: 17, what: 'switch', value: 1 },
        { actor: 1, operation: 0, step: 5, what: 'outcome', value: 1 },
      ],
    });
  });

  test('actors that a run starts come after those of the program', () => {
    expect(parseScenario('v0: touch 0 | h0: remove-table 0 | @x0.0.3>1').deviations[0]?.actor).toBe(
      2,
    );
  });

  test('every scenario is equal to itself after it is written and read', () => {
    fc.assert(
      fc.property(new ScenarioArbitrary(TD_SHAPE), (scenario) => {
        expect(parseScenario(formatScenario(scenario))).toEqual(scenario);
      }),
      { seed: 1, numRuns: 2000 },
    );
  });

  test.each([
    ['', 'at least one actor'],
    ['touch 0', 'an actor, e.g.'],
    ['v1: touch 0', 'the name v0 here'],
    ['v0: touch', 'an operation, e.g.'],
    ['v0: touch 0 | @v0.0', 'a deviation, e.g.'],
    ['v0: touch 0 | @h0.0.1>1', 'an actor that the text declares before'],
  ])('the text "%s" is refused with what was expected', (text, expected) => {
    expect(() => parseScenario(text)).toThrow(ScenarioSyntaxError);
    expect(() => parseScenario(text)).toThrow(expected);
  });
});
