/**
 * Where traces of real KVMs are looked for. They are not part of this repository; a test that needs one is skipped, and
 * says so, when it is not there.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createGunzip } from 'node:zlib';
import { test } from 'vitest';

const FOLDER = fileURLToPath(new URL('../../../shared/recordings/kvm/', import.meta.url));

/** A test on the trace `name`; skipped under a title that says why when the trace is absent. */
export function testWithTrace(name: string, title: string, body: (path: string) => Promise<void>): void {
  const path = `${FOLDER}${name}.trace.gz`;
  if (existsSync(path)) test(`${name}: ${title}`, () => body(path));
  else test.skip(`${name}: ${title} (skipped: it is not in ../shared/recordings/kvm)`, () => {});
}

export const linesOfTrace = (path: string): AsyncIterable<string> =>
  createInterface({ input: createReadStream(path).pipe(createGunzip()) });
