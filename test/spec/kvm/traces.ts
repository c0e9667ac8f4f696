/** Captures of real kernels, as lines. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { testWithShared } from '../../support/shared.ts';

/** Defines a test on the trace `name`; skipped, with the reason in its title, if it is absent. */
export const testWithTrace = (
  name: string,
  title: string,
  body: (path: string) => Promise<void>,
): void => testWithShared('kvm', `${name}.trace.gz`, `${name}: ${title}`, body);

export const linesOfTrace = (path: string): AsyncIterable<string> =>
  createInterface({ input: createReadStream(path).pipe(createGunzip()) });
