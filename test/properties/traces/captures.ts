/** Captures of real kernels. Whole ones are not in the repository; recordings/ has parts. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'vitest';
import { pathOf } from '../../support/repository.ts';
import { sharedFiles, skipWithout } from '../../support/shared.ts';

const SUFFIX = '.trace.gz';

export type Collection = 'kvm' | 'kvm-buggy' | 'kvm-qemu';

/** Paths of a collection's captures; none if it is absent. */
export const capturesOf = (collection: Collection): string[] => sharedFiles(collection, SUFFIX);

export const nameOf = (path: string): string => basename(path, SUFFIX);

/** Lines of a capture that is in the repository. */
export const ownLines = (name: string): string[] =>
  gunzipSync(readFileSync(pathOf(`recordings/traces/${name}${SUFFIX}`)))
    .toString('latin1')
    .split('\n');

/** Lines without these events. A line of 6.1 may have two events, of which the second counts. */
export const without = (lines: readonly string[], names: readonly string[]): string[] =>
  lines.filter((line) => !names.includes(/.*\d: (\w+):/.exec(line)?.[1] ?? ''));

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
