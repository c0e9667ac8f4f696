/**
 * Known bugs of TDX, half of them: what a TD is built by, its memslots, its exits, its end. Each is caught from fixed
 * seeds by one of the rules that it is said to break, and the policy without it passes what caught it.
 */
import { describe, expect, test } from 'vitest';
import { finalizeUnlocked, upstream619 } from '../../impl/index.ts';
import { MUTANTS } from '../../impl/mutants/index.ts';
import type { Policy } from '../../impl/policy.ts';
import { check, type Verdict } from '../../properties/check.ts';
import { Engine } from '../../properties/engine.ts';
import { parseHistory } from '../../properties/histories/text.ts';

const IDS = [
  'B-50', 'B-52', 'B-53', 'B-54', 'B-55', 'B-56', 'B-57', 'B-58', 'B-59', 'B-60', 'B-61', 'B-68', 'B-70', 'B-72', 'B-73',
  'B-86',
] as const;

const mutants = MUTANTS.filter(({ id }) => IDS.some((mine) => mine === id));

const SEEDS = [1, 2, 3];
/** The rarest, B-58, takes some 1,500 histories at the median. */
const BUDGET = 20_000;
const MOST_ROWS = 14;

const checked = (policy: Policy, seed: number, runs: number, only: readonly string[]): Verdict =>
  check({ policy, module: '1.5', seed, runs, only, stopAtFirst: true });

test('each of these bugs has its mutant', () => {
  expect(mutants.map(({ id }) => id)).toEqual(IDS);
});

describe.each(mutants)('$id, $title,', ({ policy, base, breaks }) => {
  const verdicts = SEEDS.map((seed) => checked(policy, seed, BUDGET, breaks));
  const found = verdicts.flatMap(({ findings }) => findings);

  test(`is caught by ${breaks.join(' or ')} from every seed, in few rows`, () => {
    expect(found.map(({ violation }) => breaks.includes(violation.rule))).toEqual(SEEDS.map(() => true));
    for (const { report, text } of found) expect(report.rows.length, text).toBeLessThanOrEqual(MOST_ROWS);
  });

  test(`is not there in ${base.name}, which passes as many histories and puts the rule to the test`, () => {
    const histories = Math.max(...found.map(({ foundAfter }) => foundAfter), 500);
    const rules = [...new Set(found.map(({ violation }) => violation.rule))];
    const verdict = checked(base, 1, histories, breaks);

    expect(verdict.findings.map(({ report }) => report.text).join('\n\n')).toBe('');
    for (const rule of rules) expect(verdict.exercised[rule], rule).toBeGreaterThan(0);
  });
});

const seen = (policy: Policy, text: string): string | undefined =>
  new Engine({ policy, kind: 'new-td', module: '1.5' }).run(parseHistory(text))?.seen;

test('a hole punched during FINALIZE meets a module that is busy, or ahead of KVM, unless mmu_lock keeps it out', () => {
  const texts = Array.from({ length: 60 }, (_, step) => `new-td | h0: finalize 0 | h1: unmap 0 | @h0.0.${step}>1`);
  const answers = new Set(texts.map((text) => seen(finalizeUnlocked, text)));

  expect(answers).toEqual(new Set([undefined, 'TDX_OPERAND_BUSY|RDX', 'TDX_TLB_TRACKING_NOT_DONE|RCX']));
  expect(texts.map((text) => seen(upstream619, text)).filter((answer) => answer !== undefined)).toEqual([]);
});
