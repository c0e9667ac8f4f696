/** The files and the commands of docs/modules.md work, and print what it shows. */
import { afterAll, expect, test } from 'vitest';
import { pathOf, textOf } from '../support/repository.ts';
import { Clone, LONG, refreshed, wrongClaims } from './document.ts';

const PAGE = textOf('docs/modules.md');
const clone = new Clone([]);
afterAll(() => clone.remove());

test(
  'every console block of docs/modules.md shows what its commands print now',
  { timeout: LONG },
  async () => {
    const { text, unusable } = await refreshed(PAGE, clone);

    expect(unusable).toEqual([]);
    await expect(text).toMatchFileSnapshot(pathOf('docs/modules.md'));
  },
);

test('the console blocks of docs/modules.md show what the text says of them', () => {
  expect(PAGE).toContain('expected: TDG.MEM.PAGE.ACCEPT holds the tree');
  expect(PAGE).toContain('RANGE.BLOCK 1@4K -> OPERAND_BUSY|SEPT_TREE');
  expect(PAGE).toMatch(/^[1-9]\d* new causes/m);
  expect(PAGE).toContain('new: no order ends in that state\n');
});

test('the text of docs/modules.md claims the verdicts that the console blocks show', () => {
  expect(wrongClaims(PAGE)).toEqual([]);
});

test('the compiler accepts the last version of each file of docs/modules.md', async () => {
  expect(await clone.compile()).toEqual({ failed: 0, stdout: '', stderr: '' });
});
