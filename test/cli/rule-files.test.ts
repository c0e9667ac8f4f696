/** Rules in files outside the repository, named by `--property`. */
import { afterAll, describe, expect, test } from 'vitest';
import { NoRule, rulesIn } from '../../properties/rules/discovery.ts';
import { OutsideFolder } from './outside-folder.ts';
import { sept, type Ran } from './run.ts';

const outside = new OutsideFolder();
afterAll(() => outside.remove());

/** A rule that lacks nothing. */
const WHOLE = {
  id: 'X01',
  level: 'required',
  statement: 'It holds.',
  source: 'here',
  versions: ['*'],
};

describe('rules in files', () => {
  const rule = (id: string): string => `export default ${JSON.stringify({ ...WHOLE, id })};`;
  const judged = (...names: string[]): Promise<Ran> =>
    sept(
      'check',
      'frozen-mirror',
      '--runs',
      '20',
      '--property',
      names.map((name) => outside.pathOf(name)).join(','),
    );

  test.each([
    [
      'five',
      5,
      'exports no rule: export one as default, with id, level, statement, source and versions',
    ],
    ['half', { id: 'X01', level: 'required' }, 'exports no rule: X01: it lacks statement, source'],
    [
      'level',
      { ...WHOLE, level: 'high' },
      'exports no rule: X01: level is none of required, stochastic, untested',
    ],
    ['check', { ...WHOLE, watch: 5 }, 'exports no rule: X01: watch is no function'],
    [
      'slip',
      { ...WHOLE, atrest() {} },
      'exports no rule: X01: unknown member "atrest"; did you mean "atRest"?',
    ],
  ])('rulesIn() refuses the wrong rule in %s', (name, value, message) => {
    expect(() => rulesIn(name, [value])).toThrow(new NoRule(`${name} ${message}`));
  });

  test('sept check refuses two rules with one id, and names both files', async () => {
    outside.write('one.ts', rule('X01'));
    outside.write('other.ts', rule('X01'));
    outside.write('shipped.ts', rule('T01'));

    expect(await outside.refusal(judged('one.ts', 'other.ts'))).toBe(
      'sept: rule X01 is in /one.ts and in /other.ts: give one of them another id',
    );
    expect(await outside.refusal(judged('shipped.ts'))).toBe(
      'sept: rule T01 is in the shipped rules and in /shipped.ts: give one of them another id',
    );
  });
});
