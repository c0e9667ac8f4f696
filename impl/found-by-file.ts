/**
 * Policies and known bugs are found by the files that they are in: a new one is a new file, and no
 * list names it.
 */
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';

/** In a clone the files are TypeScript, in a package JavaScript. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/**
 * Default exports of the files in `folder` whose names, without the extension, match `pattern`; by
 * those names, in their order.
 */
export async function defaultExportsIn<T>(
  folder: URL,
  pattern: RegExp,
): Promise<ReadonlyMap<string, T>> {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(EXTENSION) && !name.endsWith('.d.ts'))
    .map((name) => basename(name, EXTENSION))
    .filter((name) => pattern.test(name))
    .toSorted();
  return new Map(
    await Promise.all(
      names.map(async (name) => {
        const { href } = new URL(`${name}${EXTENSION}`, folder);
        // T is what every file of the folder exports; test/impl/found-by-file.test.ts checks it
        const loaded = (await import(/* @vite-ignore */ href)) as { readonly default: T };
        return [name, loaded.default] as const;
      }),
    ),
  );
}
