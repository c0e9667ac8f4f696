/**
 * Where the recordings of the real module are looked for. They are not part of this repository; a test that needs them
 * is skipped, and says so, when they are not there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';

const FOLDER = fileURLToPath(new URL('../../../shared/recordings/tdx/', import.meta.url));

/** The path of a recording, or null when it is absent. */
export function recorded(name: string): string | null {
  return existsSync(FOLDER + name) ? FOLDER + name : null;
}

/** A recording that is one JSON document, or null when it is absent. */
export function recordedJson(name: string): unknown {
  const path = recorded(name);
  return path === null ? null : JSON.parse(readFileSync(path, 'utf8')) as unknown;
}

/** A test on a recording; skipped under a title that says why when the recording is absent. */
export function testWith(name: string, title: string, body: (path: string) => void | Promise<void>): void {
  const path = recorded(name);
  if (path === null) test.skip(`${title} (skipped: ${name} is not in ../shared/recordings/tdx)`, () => {});
  else test(title, () => body(path));
}
