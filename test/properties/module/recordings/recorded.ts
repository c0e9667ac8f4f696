/** Recordings of the real module. */
import { readFileSync } from 'node:fs';
import { sharedFile, testWithShared } from '../../../support/shared.ts';

/** The path of a recording, or null when it is absent. */
export const recorded = (name: string): string | null => sharedFile('tdx', name);

/** A recording that is one JSON document, or null when it is absent. */
export function recordedJson(name: string): unknown {
  const path = recorded(name);
  return path === null ? null : (JSON.parse(readFileSync(path, 'utf8')) as unknown);
}

/** A test on a recording; skipped under a title that says why when the recording is absent. */
export const testWith = (
  name: string,
  title: string,
  body: (path: string) => void | Promise<void>,
): void => testWithShared('tdx', name, title, body);
