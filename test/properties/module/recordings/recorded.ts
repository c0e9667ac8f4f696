/** Recordings of the real module, which are not part of this repository. */
import { readFileSync } from 'node:fs';
import { sharedFile, testWithShared } from '../../../support/shared.ts';

/** The path of a recording, or null if it is absent. */
const recorded = (name: string): string | null => sharedFile('tdx', name);

/** A recording that is one JSON document, or null if it is absent. */
export function recordedJson(name: string): unknown {
  const path = recorded(name);
  return path === null ? null : (JSON.parse(readFileSync(path, 'utf8')) as unknown);
}

/** A test on a recording; it is skipped, and its title says why, if the recording is absent. */
export const testWith = (
  name: string,
  title: string,
  body: (path: string) => void | Promise<void>,
): void => testWithShared('tdx', name, title, body);
