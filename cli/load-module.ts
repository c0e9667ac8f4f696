/** Loads modules of the user by path. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { NoModule, NoPolicy } from '../impl/index.ts';
import { NoRule, settled } from '../properties/rules/discovery.ts';
import { locationOf } from './error-location.ts';
import { UsageError } from './errors.ts';

/** Returns the default export of a file. @throws UsageError if the file cannot be loaded */
export const defaultExportOf = (file: string): Promise<unknown> => exportOf(file, ['default']);

/**
 * Returns the first of `names` that a file exports; undefined if it exports none of them.
 *
 * @throws UsageError if the file cannot be loaded
 */
export async function exportOf(file: string, names: readonly string[]): Promise<unknown> {
  try {
    const loaded: unknown = await settled(
      import(/* @vite-ignore */ pathToFileURL(resolve(file)).href),
      file,
    );
    if (typeof loaded !== 'object' || loaded === null) return undefined;
    const exported = new Map<string, unknown>(Object.entries(loaded));
    return exported.get(names.find((name) => exported.has(name)) ?? '');
  } catch (error) {
    if (error instanceof NoRule) throw error;
    if (isRefusal(error)) throw new UsageError(`${file}: ${error.message}`);
    throw new UsageError(`${file} cannot be loaded: ${reasonOf(error)}${locationOf(error)}`);
  }
}

/** Makes an object of what `file` exports. @throws UsageError that names the file if it is none */
export function inFile<T>(file: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw isRefusal(error) ? new UsageError(`${file}: ${error.message}`) : error;
  }
}

const isRefusal = (error: unknown): error is Error =>
  error instanceof NoPolicy || error instanceof NoModule;

/** First line of an error that says what is wrong. esbuild begins with the number of errors. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error))
    .split('\n')
    .map((line) => line.trim());
  return lines.find((line) => !line.endsWith(':')) ?? lines.join(' ');
}
