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

const linesOf = (path: string): string[] =>
  gunzipSync(readFileSync(path)).toString('latin1').split('\n');

/** Lines of a capture that is in the repository. */
export const ownLines = (name: string): string[] =>
  linesOf(pathOf(`recordings/traces/${name}${SUFFIX}`));

/** Name of the event in a line. A line of 6.1 may have two events, of which the second counts. */
export const nameOfEvent = (line: string): string | undefined => /.*\d: (\w+):/.exec(line)?.[1];

/** Lines without these events, whose probes are not declared either. */
export const without = (lines: readonly string[], names: readonly string[]): string[] =>
  lines
    .filter((line) => !names.includes(nameOfEvent(line) ?? ''))
    .map((line) =>
      line.startsWith('# probes:')
        ? line
            .split(' ')
            .filter((word) => !names.includes(word))
            .join(' ')
        : line,
    );

/** Description that came with a capture. A test has to check its shape. */
export const metaOf = (path: string): unknown =>
  JSON.parse(readFileSync(path.replace(SUFFIX, '.meta.json'), 'utf8'));

/**
 * Declares a test for each wanted capture of a collection, or a skipped test whose title says why
 * there are none.
 */
export function testEach(
  collection: Collection,
  title: string,
  body: (path: string) => Promise<void>,
  isWanted: (path: string) => boolean = () => true,
): void {
  const paths = capturesOf(collection).filter(isWanted);
  if (paths.length === 0) skipWithout(collection, title);
  for (const path of paths) test(`${title} in ${nameOf(path)}`, () => body(path));
}
