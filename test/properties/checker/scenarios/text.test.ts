/** Scenarios as text, and errors in it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exclusive } from '../../../../impl/index.ts';
import { ScenarioArbitrary } from '../../../../properties/checker/scenarios/arbitrary.ts';
import {
  formatScenario,
  ScenarioSyntaxError,
  parseScenario,
} from '../../../../properties/checker/scenarios/text.ts';
import { shapesOf, TD_SHAPE } from '../../../../properties/checker/shapes.ts';

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

  test.each([
    ['levels 4 | v0: touch 0', { levels: 4, fanout: 2 }],
    ['fanout 3 | v0: touch 0', { levels: 3, fanout: 3 }],
    ['new-td | levels 5, fanout 4 | v0: touch 0', { levels: 5, fanout: 4 }],
  ])('the text "%s" names the tree %o', (text, tree) => {
    expect(parseScenario(text).tree).toEqual(tree);
    expect(formatScenario(parseScenario(text))).toBe(text);
  });

  test('a text that names the default tree is the text that names none', () => {
    expect(parseScenario('levels 3, fanout 2 | v0: touch 0')).toEqual(parseScenario('v0: touch 0'));
  });

  test('remove-table names the entry whose table it is about, at 2M when it names none', () => {
    const text = 'h0: remove-table 0@1G; remove-table 2';
    expect(parseScenario(text).actors[0]?.operations).toEqual([
      { name: 'remove-table', gfn: 0, pages: 1, level: 2 },
      { name: 'remove-table', gfn: 2, pages: 1 },
    ]);
    expect(formatScenario(parseScenario(text))).toBe(text);
    expect(formatScenario(parseScenario('h0: remove-table 2@2M'))).toBe('h0: remove-table 2');
  });

  test.each([
    { levels: 3, fanout: 2 },
    { levels: 5, fanout: 3 },
  ])('every scenario of the tree %o is equal to itself after it is written and read', (tree) => {
    fc.assert(
      fc.property(new ScenarioArbitrary(...shapesOf(exclusive, tree)), (scenario) => {
        expect(parseScenario(formatScenario(scenario))).toEqual(scenario);
      }),
      { seed: 2, numRuns: 1000 },
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
    ['levels 6 | v0: touch 0', 'a tree: levels is 6; give a whole number from 3 to 5'],
    ['fanout 1 | v0: touch 0', 'a tree: fanout is 1; give a whole number from 2 to 4'],
    ['levels 4 fanout 3 | v0: touch 0', 'an actor, e.g.'],
    ['v0: touch 0@1G', "a table's entry only after remove-table"],
    ['h0: remove-table 0@4K', "a table's entry only after remove-table"],
    ['h0: remove-table 0@3G', "a table's entry only after remove-table"],
    ['v0: touch 0 | @v0.0', 'a deviation, e.g.'],
    ['v0: touch 0 | @h0.0.1>1', 'an actor that the text declares before'],
  ])('the text "%s" is refused with what was expected', (text, expected) => {
    expect(() => parseScenario(text)).toThrow(ScenarioSyntaxError);
    expect(() => parseScenario(text)).toThrow(expected);
  });
});
