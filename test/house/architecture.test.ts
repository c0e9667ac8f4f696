/** The floors of docs/architecture.md: an import points to the same floor or down. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { tableIn } from '../docs/document.ts';
import { pathOf, textOf } from '../support/repository.ts';

const ROWS = tableIn(textOf('docs/architecture.md'), 'floor');
/** Height of each folder that the document lists. */
const FLOORS = new Map(
  ROWS.flatMap(([floor, folders = '']) =>
    [...folders.matchAll(/`([^`]+)\/`/g)].map(
      ([, folder = '']) => [folder, Number(floor)] as const,
    ),
  ),
);

/** The folder that a file is in, the innermost that the document lists. */
const folderOf = (file: string): string =>
  [...FLOORS.keys()]
    .toSorted((a, b) => b.length - a.length)
    .find((folder) => file.startsWith(`${folder}/`)) ?? '';

/** Every relative import of a source file, as paths in the repository. */
function importsOf(file: string): string[] {
  const found = textOf(file).matchAll(/^(?:import|export)[^;]*? from '(\.[^']+)';/gm);
  return [...found].map(([, to = '']) => join(dirname(file), to));
}

const FILES = ['spec', 'impl', 'properties', 'test', 'cli'].flatMap((folder) =>
  readdirSync(pathOf(folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name)),
);

test('no import points up, nor from one specification into the other', () => {
  const wrong = FILES.flatMap((file) =>
    importsOf(file)
      .filter((to) => {
        const [from, target] = [folderOf(file), folderOf(to)];
        const [height, above] = [
          FLOORS.get(from) ?? 0,
          FLOORS.get(target) ?? Number.POSITIVE_INFINITY,
        ];
        return above > height || (above === height && from !== target && from !== 'test');
      })
      .map((to) => `${file} imports ${to}`),
  );

  expect(FILES.length).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
});
