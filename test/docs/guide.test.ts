/** What docs/guide.md tells its reader to write and to run works, and prints what it shows. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pathOf, textOf } from '../support/repository.ts';
import { Clone, refreshed } from './document.ts';

const GUIDE = textOf('docs/guide.md');
const clone = new Clone([]);
afterAll(() => clone.remove());

test('every console block shows what its commands print now, with the files as written so far', async () => {
  const { text, unusable } = await refreshed(GUIDE, clone, {});

  expect(unusable).toEqual([]);
  await expect(text).toMatchFileSnapshot(pathOf('docs/guide.md'));
});

test('the compiler accepts the files, as they are in the end', async () => {
  const settings = { extends: pathOf('tsconfig.json'), include: ['*.ts'] };
  writeFileSync(join(clone.folder, 'tsconfig.json'), JSON.stringify(settings));

  expect(await clone.run('node_modules/typescript/bin/tsc', ['-p', '.'])).toEqual({
    failed: 0,
    stdout: '',
    stderr: '',
  });
});
