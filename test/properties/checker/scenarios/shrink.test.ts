import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HistoryArbitrary } from '../../../../properties/checker/scenarios/arbitrary.ts';
import { operationCount, type History } from '../../../../properties/checker/scenarios/scenario.ts';
import { shrink } from '../../../../properties/checker/scenarios/shrink.ts';
import { smaller } from '../../../../properties/checker/scenarios/smaller.ts';
import { formatHistory, parseHistory } from '../../../../properties/checker/scenarios/text.ts';
import { TD_SHAPE } from '../../../../properties/checker/shapes.ts';

const names = (history: History): string[] =>
  history.actors.flatMap((a) => a.operations.map((o) => o.name));

describe('shrinking a history', () => {
  test('drops actors, operations and deviations that the failure does not need', () => {
    const big = parseHistory(
      'v0: touch 3; read 5 | h0: promote 2; unmap 4+2; demote 0 | v1: idle 1 | @v0.1.9>2 @h0.1.3>1',
    );
    const failing = (history: History): boolean =>
      names(history).includes('unmap') && names(history).includes('read');

    expect(formatHistory(shrink(big, failing).history)).toBe('v0: read 0 | h0: unmap 0');
  });

  test('drops two operations that only make sense together', () => {
    const big = parseHistory('v0: touch 0; read 0; touch 0');
    const failing = (history: History): boolean => operationCount(history) % 2 === 1;

    expect(operationCount(shrink(big, failing).history)).toBe(1);
  });

  test('keeps a deviation with its operation when another operation goes', () => {
    const big = parseHistory('v0: touch 0; read 1; touch 2 | h0: unmap 0 | @v0.2.20>1');
    const failing = (history: History): boolean =>
      history.deviations.length === 1 && names(history).length >= 2;

    expect(formatHistory(shrink(big, failing).history)).toBe('v0: read 0; touch 0 | @v0.1.0>1');
  });

  test('brings a switch nearer when an actor that it passed over goes', () => {
    const big = parseHistory('v0: touch 0 | h0: unmap 0 | v1: touch 0 | @v0.0.7>2');
    const failing = (history: History): boolean =>
      history.actors.length === 2 &&
      history.actors[1]?.role === 'vcpu' &&
      history.deviations[0]?.value === 1;

    expect(formatHistory(shrink(big, (h) => failing(h) || h.actors.length === 3).history)).toBe(
      'v0: touch 0 | v1: | @v0.0.0>1',
    );
  });

  test('puts the actor first that starts first', () => {
    const big = parseHistory('h0: unmap 1 | v0: touch 0 | h1: demote 0 | @h0.0.0>2 @h1.0.3>1');

    expect([...smaller(big)].map(formatHistory)).toContain(
      'h0: demote 0 | h1: unmap 1 | v0: touch 0 | @h0.0.3>1',
    );
  });

  test('merges pages', () => {
    const big = parseHistory('v0: touch 5; touch 3 | h0: unmap 5');
    const failing = (history: History): boolean => {
      const [first, , last] = history.actors.flatMap((a) => a.operations.map((o) => o.gfn));
      return operationCount(history) === 3 && first === last;
    };

    expect(formatHistory(shrink(big, failing).history)).toBe('v0: touch 0; touch 0 | h0: unmap 0');
  });

  test('stops at its budget and says so', () => {
    const big = parseHistory('v0: touch 3; read 5 | h0: promote 2; unmap 4+2');
    const result = shrink(big, () => true, 1);

    expect(result).toMatchObject({ executions: 1, complete: false });
  });

  test('offers only histories that differ from the one it is given', () => {
    fc.assert(
      fc.property(new HistoryArbitrary(TD_SHAPE), (history) => {
        const text = formatHistory(history);
        for (const candidate of smaller(history)) expect(formatHistory(candidate)).not.toBe(text);
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  test('always comes to an end', () => {
    fc.assert(
      fc.property(new HistoryArbitrary(TD_SHAPE), (history) => {
        expect(shrink(history, () => true).complete).toBe(true);
      }),
      { seed: 4, numRuns: 200 },
    );
  });
});
