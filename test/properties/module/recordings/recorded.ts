/** Recordings of the real modules, which are not part of this repository. */
import { readFileSync } from 'node:fs';
import { sharedFile, testWithShared, type Collection } from '../../../support/shared.ts';

/** The modules that were recorded, and where their recordings are. */
const COLLECTIONS = {
  '1.0.03': 'tdx-1.0.03',
  '1.5.01': 'tdx',
  '1.5.05': 'tdx-1.5.05',
} as const satisfies Readonly<Record<string, Collection>>;

export type RecordedModule = keyof typeof COLLECTIONS;
// the keys of a literal are its type
export const RECORDED_MODULES = Object.keys(COLLECTIONS) as RecordedModule[];

/** A recording that is one JSON document, or null if it is absent. */
export function recordedJson(name: string, version: RecordedModule = '1.5.01'): unknown {
  const path = sharedFile(COLLECTIONS[version], name);
  return path === null ? null : (JSON.parse(readFileSync(path, 'utf8')) as unknown);
}

/** A test on a recording; it is skipped, and its title says why, if the recording is absent. */
export const testWith = (
  name: string,
  title: string,
  body: (path: string) => void | Promise<void>,
  version: RecordedModule = '1.5.01',
): void => testWithShared(COLLECTIONS[version], name, title, body);
