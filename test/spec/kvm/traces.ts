/** Traces of real KVMs, as lines. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { testWithShared } from '../../support/shared.ts';

/** A test on the trace `name`; skipped under a title that says why when the trace is absent. */
export const testWithTrace = (
  name: string,
  title: string,
  body: (path: string) => Promise<void>,
): void => testWithShared('kvm', `${name}.trace.gz`, `${name}: ${title}`, body);

export const linesOfTrace = (path: string): AsyncIterable<string> =>
  createInterface({ input: createReadStream(path).pipe(createGunzip()) });
