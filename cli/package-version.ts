/** Version of this package, from its package.json. */
import { existsSync, readFileSync } from 'node:fs';

/** Where package.json is, seen from the sources and from dist/cli/. */
const CANDIDATES = ['../package.json', '../../package.json'];

export function packageVersion(): string {
  const file = CANDIDATES.map((path) => new URL(path, import.meta.url)).find(existsSync);
  if (file === undefined) throw new Error('the package has no package.json');
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }; // npm needs it
  return version;
}
