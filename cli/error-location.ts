/** Finds the line of a user's file at which an error was thrown. */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('../', import.meta.url));
const PACKAGE_FOLDERS = ['cli', 'dist', 'impl', 'node_modules', 'properties', 'spec'].map(
  (name) => `${PACKAGE}${name}/`,
);

/**
 * Returns the innermost frame of an error's stack outside this package, e.g. ` (at mine.ts:7:11)`;
 * '' if there is none.
 */
export function locationOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  for (const [, url = '', position = ''] of stack.matchAll(
    /(?:\(|at (?:async )?)((?:file:\/\/)?\/[^()]*?)(?:\?[^:()]*)?(:\d+:\d+)/g,
  )) {
    const path = url.startsWith('file:') ? fileURLToPath(url) : url;
    if (
      PACKAGE_FOLDERS.some((folder) => path.startsWith(folder)) ||
      path.includes('/node_modules/')
    )
      continue;
    return ` (at ${relative('', path)}${position})`;
  }
  return '';
}
