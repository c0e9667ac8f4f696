/** The reader of documents, on small samples. */
import { expect, test } from 'vitest';
import { wrongClaims } from './document.ts';

const block = (...lines: string[]): string => ['```console', ...lines, '```', ''].join('\n');
const PASSES = 'mine, module 1.5: passes (3 scenarios, 9 steps, seed 1)';
const FAILS = 'mine, module 1.5: fails (3 scenarios, 9 steps, seed 1)';

test('a paragraph that claims the verdict of the block after it is right', () => {
  expect(wrongClaims(`The kick fails.\n\nMine passes:\n\n${block(PASSES)}`)).toEqual([]);
  expect(wrongClaims(`Mine passes, the other\nfails:\n\n${block(PASSES, '', FAILS)}`)).toEqual([]);
  expect(wrongClaims(`As JSON, it passes:\n\n${block('{"verdict":"passes"}')}`)).toEqual([]);
  expect(wrongClaims(`One scenario:\n\n${block('mine, module 1.5: no rule is broken')}`)).toEqual(
    [],
  );
});

test('a verdict without a claim is wrong, and so is a claim without a verdict', () => {
  expect(wrongClaims(`And mine passes:\n\n${block(FAILS)}`)).toEqual([
    '"And mine passes:" claims [passes], the output says [fails]',
  ]);
  expect(wrongClaims(`Mine:\n\n${block(PASSES)}`)).toHaveLength(1);
  expect(wrongClaims(`Mine passes:\n\n${block('no verdict')}`)).toHaveLength(1);
});

test('text between two blocks belongs to the second one', () => {
  const text = `Mine passes:\n\n${block(PASSES)}\nThe other fails:\n\n${block(FAILS)}`;
  expect(wrongClaims(text)).toEqual([]);
  expect(wrongClaims(`Mine passes:\n\n${block(PASSES)}\n${block(FAILS)}`)).toHaveLength(1);
});
