/** Books of rules: watching, exercised counts, violations. */
import { describe, expect, test } from 'vitest';
import { Machine, type Cell } from '../../../spec/machine/machine.ts';
import { about, RuleBook, type Rule } from '../../../spec/machine/monitor.ts';
import { runActors } from './support.ts';

interface World {
  readonly m: Machine;
  readonly cell: Cell;
}

const rule = (id: string, checks: Partial<Rule<World>>): Rule<World> => ({
  id,
  level: 'required',
  statement: 'It is so.',
  source: 'nowhere',
  versions: ['*'],
  ...checks,
});

const NEVER_NEGATIVE = rule('X01', {
  watch: ({ m, cell }, report) => {
    m.onWrite.push((written, _before, after) => {
      if (written !== cell) return;
      report.exercised();
      if (after < 0) report.violated('not negative', `${after}`);
    });
  },
});
const EVEN_AT_REST = rule('X02', {
  faults: ['H04', 'H05'],
  atRest: ({ m, cell }, report) => {
    report.exercised();
    if (m.peek(cell) % 2 !== 0) report.violated('even', `${m.peek(cell)}`);
  },
});
const ZERO_AT_END = rule('X03', {
  atEnd: ({ m, cell }, report) => {
    if (m.peek(cell) !== 0) report.violated('zero', `${m.peek(cell)}`);
  },
});

function setUp() {
  const m = new Machine();
  const cell = m.segment('word', 1);
  const book = new RuleBook<World>(m, { m, cell }, [NEVER_NEGATIVE, EVEN_AT_REST, ZERO_AT_END]);
  m.seal();
  return { m, cell, book };
}

describe('a book of rules', () => {
  test('a run ends at the first step that breaks a rule', () => {
    const { m, cell } = setUp();
    const writes = function* () {
      for (const value of [1, -1, 2]) yield* m.write(cell, value);
    };
    expect(runActors(m, { writes })).toBe('violated');
    expect(m.violation).toEqual({
      rule: 'X01',
      step: 1,
      actor: 0,
      expected: 'not negative',
      seen: '-1',
    });
  });

  test('rules check the state at rest and after teardown', () => {
    const { m, cell, book } = setUp();
    m.poke(cell, 3);
    book.atRest();
    expect(m.violation).toMatchObject({ rule: 'X02', expected: 'even', seen: '3' });
    m.reset();
    book.atRest();
    book.atEnd();
    expect(m.violation).toBeNull();
    m.poke(cell, 2);
    book.atEnd();
    expect(m.violation?.rule).toBe('X03');
  });

  test('a book counts how often each rule is exercised, over all runs, until it is cleared', () => {
    const { m, cell, book } = setUp();
    for (let round = 0; round < 3; round++)
      runActors(m, {
        *a() {
          yield* m.write(cell, 1);
          yield* m.write(cell, 2);
        },
      });
    book.atRest();
    expect(['X01', 'X02', 'X03', 'X99'].map((id) => book.timesExercised(id))).toEqual([6, 1, 0, 0]);
    book.clear();
    expect(book.timesExercised('X01')).toBe(0);
  });

  test('about() applies a rule to a part of the subject', () => {
    const m = new Machine();
    const cell = m.segment('word', 1);
    const whole = [NEVER_NEGATIVE, EVEN_AT_REST, ZERO_AT_END, rule('X04', {})].map((r) =>
      about<{ part: World }, World>(r, ({ part }) => part),
    );
    const book = new RuleBook(m, { part: { m, cell } }, whole);
    expect(
      whole.map(({ id, watch, atRest, atEnd }) => [id, watch, atRest, atEnd].map((x) => typeof x)),
    ).toEqual([
      ['string', 'function', 'undefined', 'undefined'],
      ['string', 'undefined', 'function', 'undefined'],
      ['string', 'undefined', 'undefined', 'function'],
      ['string', 'undefined', 'undefined', 'undefined'],
    ]);
    m.poke(cell, 1);
    book.atRest();
    expect([m.violation?.rule, book.timesExercised('X01')]).toEqual(['X02', 1]);
    m.violation = null;
    book.atEnd();
    expect(m.violation).toMatchObject({ rule: 'X03', seen: '1' });
  });

  test('a fault of the machine is reported under the rule that claims it', () => {
    const { book } = setUp();
    expect(['H04', 'H01', 'X01'].map((id) => book.reportedAs(id))).toEqual(['X02', 'H01', 'X01']);
  });
});
