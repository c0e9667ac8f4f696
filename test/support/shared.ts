/**
 * Recordings beside this repository, of which they are no part: ../shared/recordings. A test that
 * needs one is skipped, and says so, when it is not there.
 */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';

/** A folder of recordings: captures of KVM, of KVM with bugs, recordings of the TDX module. */
export type Collection = 'kvm' | 'kvm-buggy' | 'tdx';

const folderOf = (collection: Collection): string =>
  fileURLToPath(new URL(`../../../shared/recordings/${collection}/`, import.meta.url));

/** The path of a recording, or null when it is absent. */
export function sharedFile(collection: Collection, name: string): string | null {
  const path = folderOf(collection) + name;
  return existsSync(path) ? path : null;
}

/** Paths of the files of a collection whose names end so; none when it is absent. */
export function sharedFiles(collection: Collection, suffix: string): string[] {
  const folder = folderOf(collection);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .map((name) => folder + name);
}

/** Stands for a test that cannot run. */
export const skipWithout = (collection: Collection, title: string, name = ''): void => {
  const path = `../shared/recordings/${collection}${name === '' ? '' : `/${name}`}`;
  test.skip(`${title} (skipped: there is no ${path})`, () => {});
};

/** A test on a recording; skipped under a title that says why when it is absent. */
export function testWithShared(
  collection: Collection,
  name: string,
  title: string,
  body: (path: string) => void | Promise<void>,
): void {
  const path = sharedFile(collection, name);
  if (path === null) skipWithout(collection, title, name);
  else test(title, () => body(path));
}
