/** Shrinking of scenarios. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScenarioArbitrary } from '../../../../properties/checker/scenarios/arbitrary.ts';
import type { Scenario } from '../../../../properties/checker/scenarios/scenario.ts';
import { shrink } from '../../../../properties/checker/scenarios/shrink.ts';
import { smaller } from '../../../../properties/checker/scenarios/smaller.ts';
import { formatScenario, parseScenario } from '../../../../properties/checker/scenarios/text.ts';
import { TD_SHAPE } from '../../../../properties/checker/shapes.ts';
import { operationCount } from '../../../support/operation-count.ts';

const names = (scenario: Scenario): string[] =>
  scenario.actors.flatMap((a) => a.operations.map((o) => o.name));

describe('shrinking a scenario', () => {
  test('shrinking drops actors, operations and deviations that the failure does not need', () => {
    const big = parseScenario(
      'v0: touch 3; read 5 | h0: promote 2; unmap 4+2; demote 0 | v1: idle 1 | @v0.1.9>2 @h0.1.3>1',
    );
    const failing = (scenario: Scenario): boolean =>
      names(scenario).includes('unmap') && names(scenario).includes('read');

    expect(formatScenario(shrink(big, failing).scenario)).toBe('v0: read 0 | h0: unmap 0');
  });

  test('shrinking drops two operations that only matter together', () => {
    const big = parseScenario('v0: touch 0; read 0; touch 0');
    const failing = (scenario: Scenario): boolean => operationCount(scenario) % 2 === 1;

    expect(operationCount(shrink(big, failing).scenario)).toBe(1);
  });

  test('a deviation stays with its operation when another operation is dropped', () => {
    const big = parseScenario('v0: touch 0; read 1; touch 2 | h0: unmap 0 | @v0.2.20>1');
    const failing = (scenario: Scenario): boolean =>
      scenario.deviations.length === 1 && names(scenario).length >= 2;

    expect(formatScenario(shrink(big, failing).scenario)).toBe('v0: read 0; touch 0 | @v0.1.0>1');
  });

  test('a switch skips one actor fewer when an actor that it skipped is dropped', () => {
    const big = parseScenario('v0: touch 0 | h0: unmap 0 | v1: touch 0 | @v0.0.7>2');
    const failing = (scenario: Scenario): boolean =>
      scenario.actors.length === 2 &&
      scenario.actors[1]?.role === 'vcpu' &&
      scenario.deviations[0]?.value === 1;

    expect(formatScenario(shrink(big, (h) => failing(h) || h.actors.length === 3).scenario)).toBe(
      'v0: touch 0 | v1: | @v0.0.0>1',
    );
  });

  test('shrinking puts the actor that starts first at the front', () => {
    const big = parseScenario('h0: unmap 1 | v0: touch 0 | h1: demote 0 | @h0.0.0>2 @h1.0.3>1');

    expect([...smaller(big)].map(formatScenario)).toContain(
      'h0: demote 0 | h1: unmap 1 | v0: touch 0 | @h0.0.3>1',
    );
  });

  test('shrinking merges pages', () => {
    const big = parseScenario('v0: touch 5; touch 3 | h0: unmap 5');
    const failing = (scenario: Scenario): boolean => {
      const [first, , last] = scenario.actors.flatMap((a) => a.operations.map((o) => o.gfn));
      return operationCount(scenario) === 3 && first === last;
    };

    expect(formatScenario(shrink(big, failing).scenario)).toBe(
      'v0: touch 0; touch 0 | h0: unmap 0',
    );
  });

  test('shrinking lowers the entry whose table is removed, and keeps the tree', () => {
    const big = parseScenario('levels 5 | v0: touch 16 | h0: remove-table 8@512G; unmap 1');
    const failing = (scenario: Scenario): boolean => names(scenario).includes('remove-table');

    expect(formatScenario(shrink(big, failing).scenario)).toBe('levels 5 | h0: remove-table 0');
  });

  test('shrinking stops at its budget and reports that it is incomplete', () => {
    const big = parseScenario('v0: touch 3; read 5 | h0: promote 2; unmap 4+2');
    const result = shrink(big, () => true, 1);

    expect(result).toMatchObject({ executions: 1, complete: false });
  });

  test('every candidate differs from the scenario that is shrunk', () => {
    fc.assert(
      fc.property(new ScenarioArbitrary(TD_SHAPE), (scenario) => {
        const text = formatScenario(scenario);
        for (const candidate of smaller(scenario)) expect(formatScenario(candidate)).not.toBe(text);
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  test('shrinking always ends', () => {
    fc.assert(
      fc.property(new ScenarioArbitrary(TD_SHAPE), (scenario) => {
        expect(shrink(scenario, () => true).complete).toBe(true);
      }),
      { seed: 4, numRuns: 200 },
    );
  });
});
