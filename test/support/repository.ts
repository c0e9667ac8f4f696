/** Files of this repository, by their paths in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const pathOf = (name: string): string => join(ROOT, name);
export const textOf = (name: string): string => readFileSync(pathOf(name), 'utf8');
