/** Captures of real kernels that are not in the repository. recordings/ has parts of some. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'vitest';
import { sharedFiles, skipWithout } from '../../support/shared.ts';

const SUFFIX = '.trace.gz';

export type Collection = 'kvm' | 'kvm-buggy';

/** Paths of a collection's captures; none if it is absent. */
export const capturesOf = (collection: Collection): string[] => sharedFiles(collection, SUFFIX);

export const nameOf = (path: string): string => basename(path, SUFFIX);

/** Description that came with a capture. A test has to check its shape. */
export const metaOf = (path: string): unknown =>
  JSON.parse(readFileSync(path.replace(SUFFIX, '.meta.json'), 'utf8'));

/**
 * Declares a test for each capture of a collection, or a skipped test whose title says why there
 * are none.
 */
export function testEach(
  collection: Collection,
  title: string,
  body: (path: string) => Promise<void>,
): void {
  const paths = capturesOf(collection);
  if (paths.length === 0) skipWithout(collection, title);
  for (const path of paths) test(`${title} in ${nameOf(path)}`, () => body(path));
}
