/**
 * Recordings that are not part of this repository, in ../shared/recordings. A test that needs an
 * absent one is skipped, with the reason in its title.
 */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';

/** A folder of recordings: captures of KVM, of KVM with bugs, recordings of the TDX module. */
export type Collection = 'kvm' | 'kvm-buggy' | 'kvm-qemu' | 'tdx' | 'tdx-1.5.05' | 'tdx-1.0.03';

const folderOf = (collection: Collection): string =>
  fileURLToPath(new URL(`../../../shared/recordings/${collection}/`, import.meta.url));

/** Returns the path of a recording, or null if it is absent. */
export function sharedFile(collection: Collection, name: string): string | null {
  const path = folderOf(collection) + name;
  return existsSync(path) ? path : null;
}

/** Returns the paths of a collection's files with this suffix; none if the collection is absent. */
export function sharedFiles(collection: Collection, suffix: string): string[] {
  const folder = folderOf(collection);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .map((name) => folder + name);
}

/** Registers a skipped test. */
export const skipWithout = (collection: Collection, title: string, name = ''): void => {
  const path = `../shared/recordings/${collection}${name === '' ? '' : `/${name}`}`;
  test.skip(`${title} (skipped: ${path} is absent)`, () => {});
};

/** Registers a test on a recording, or a skipped test if the recording is absent. */
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
