/** Where in somebody else's file an error came up. */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const OURS = fileURLToPath(new URL('../', import.meta.url));
const OUR_FOLDERS = ['cli', 'dist', 'impl', 'node_modules', 'properties', 'spec'].map(
  (name) => `${OURS}${name}/`,
);

/**
 * ` (at my-policy.ts:7:11)`: the innermost frame of an error's stack that is in no file of ours; ''
 * without one.
 */
export function placeOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  for (const [, url = '', position = ''] of stack.matchAll(
    /(?:\(|at (?:async )?)((?:file:\/\/)?\/[^()]*?)(?:\?[^:()]*)?(:\d+:\d+)/g,
  )) {
    const path = url.startsWith('file:') ? fileURLToPath(url) : url;
    if (OUR_FOLDERS.some((folder) => path.startsWith(folder)) || path.includes('/node_modules/'))
      continue;
    return ` (at ${relative('', path)}${position})`;
  }
  return '';
}
