/**
 * Where captures of real kernels are looked for: our own short ones in recordings/, and all of them beside this
 * repository, of which they are no part. A test that needs those is skipped, and says so, when they are not there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';

const SUFFIX = '.trace.gz';

export type Collection = 'kvm' | 'kvm-buggy';

const folderOf = (collection: Collection): string =>
  fileURLToPath(new URL(`../../../shared/recordings/${collection}/`, import.meta.url));

/** Paths of a collection's captures; none when it is absent. */
export function capturesOf(collection: Collection): string[] {
  const folder = folderOf(collection);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith(SUFFIX)).map((name) => folder + name);
}

export const nameOf = (path: string): string => basename(path, SUFFIX);

/** What a capture's makers say of it; its shape is theirs, so that a test has to look before it takes. */
export const metaOf = (path: string): unknown => JSON.parse(readFileSync(path.replace(SUFFIX, '.meta.json'), 'utf8'));

/** A test on each capture of a collection; one that is skipped, under a title that says why, when there are none. */
export function testEach(collection: Collection, title: string, body: (path: string) => Promise<void>): void {
  const paths = capturesOf(collection);
  if (paths.length === 0) test.skip(`${title} (skipped: there is no ../shared/recordings/${collection})`, () => {});
  for (const path of paths) test(`${nameOf(path)}: ${title}`, () => body(path));
}
