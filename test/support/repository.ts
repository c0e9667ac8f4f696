/** Files of this repository, by their paths in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const pathOf = (name: string): string => join(ROOT, name);
export const textOf = (name: string): string => readFileSync(pathOf(name), 'utf8');

/** Paths of the files below `folders` whose names end in `ending`. */
export const filesBelow = (folders: readonly string[], ending: string): string[] =>
  folders.flatMap((folder) =>
    readdirSync(pathOf(folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith(ending))
      .map((name) => join(folder, name)),
  );

/** Paths of the documents, the generated ones included. */
export const documents = (): string[] => [
  ...readdirSync(pathOf('.')).filter((name) => name.endsWith('.md')),
  ...filesBelow(['.github', 'docs', 'recordings'], '.md'),
];
