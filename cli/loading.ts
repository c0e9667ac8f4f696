/** Modules of other people, loaded by path. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UsageError } from './errors.ts';

/** The default export of a file. @throws UsageError when it cannot be loaded */
export async function defaultExportOf(file: string): Promise<unknown> {
  try {
    const loaded: unknown = await import(pathToFileURL(resolve(file)).href);
    return typeof loaded === 'object' && loaded !== null && 'default' in loaded ? loaded.default : undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsageError(`${file} cannot be loaded: ${reason}`);
  }
}
