/**
 * Captures of real kernels: our own short ones are in recordings/, all of them are beside this
 * repository.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'vitest';
import { sharedFiles, skipWithout } from '../../support/shared.ts';

const SUFFIX = '.trace.gz';

export type Collection = 'kvm' | 'kvm-buggy';

/** Paths of a collection's captures; none when it is absent. */
export const capturesOf = (collection: Collection): string[] => sharedFiles(collection, SUFFIX);

export const nameOf = (path: string): string => basename(path, SUFFIX);

/**
 * What a capture's makers say of it; its shape is theirs, so that a test has to look before it
 * takes.
 */
export const metaOf = (path: string): unknown =>
  JSON.parse(readFileSync(path.replace(SUFFIX, '.meta.json'), 'utf8'));

/**
 * A test on each capture of a collection; one that is skipped, under a title that says why, when
 * there are none.
 */
export function testEach(
  collection: Collection,
  title: string,
  body: (path: string) => Promise<void>,
): void {
  const paths = capturesOf(collection);
  if (paths.length === 0) skipWithout(collection, title);
  for (const path of paths) test(`${nameOf(path)}: ${title}`, () => body(path));
}
