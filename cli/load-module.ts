/** Loads modules of the user by path. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { NoPolicy } from '../impl/index.ts';
import { NoRule, settled } from '../properties/rules/discovery.ts';
import { locationOf } from './error-location.ts';
import { UsageError } from './errors.ts';

/** Returns the default export of a file. @throws UsageError if the file cannot be loaded */
export async function defaultExportOf(file: string): Promise<unknown> {
  try {
    const loaded: unknown = await settled(
      import(/* @vite-ignore */ pathToFileURL(resolve(file)).href),
      file,
    );
    return typeof loaded === 'object' && loaded !== null && 'default' in loaded
      ? loaded.default
      : undefined;
  } catch (error) {
    if (error instanceof NoRule) throw error;
    if (error instanceof NoPolicy) throw new UsageError(`${file}: ${error.message}`);
    throw new UsageError(`${file} cannot be loaded: ${reasonOf(error)}${locationOf(error)}`);
  }
}

/** First line of an error that says what is wrong. esbuild begins with the number of errors. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error))
    .split('\n')
    .map((line) => line.trim());
  return lines.find((line) => !line.endsWith(':')) ?? lines.join(' ');
}
