/** The files and the commands of docs/guide.md work, and print what it shows. */
import { afterAll, expect, test } from 'vitest';
import { pathOf, textOf } from '../support/repository.ts';
import { Clone, LONG, refreshed, wrongClaims } from './document.ts';

const GUIDE = textOf('docs/guide.md');
const clone = new Clone([]);
afterAll(() => clone.remove());

test(
  'every console block of the guide shows what its commands print now',
  { timeout: LONG },
  async () => {
    const { text, unusable } = await refreshed(GUIDE, clone);

    expect(unusable).toEqual([]);
    await expect(text).toMatchFileSnapshot(pathOf('docs/guide.md'));
  },
);

test('the text claims the verdicts that the console blocks show', () => {
  expect(wrongClaims(GUIDE)).toEqual([]);
});

test('the compiler accepts the last version of each file', async () => {
  expect(await clone.compile()).toEqual({ failed: 0, stdout: '', stderr: '' });
});
