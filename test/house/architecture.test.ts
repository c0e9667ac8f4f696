/** The tables and the picture of docs/architecture.md are what the imports are. */
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { blocksOf, tableIn } from '../docs/document.ts';
import { filesBelow, textOf } from '../support/repository.ts';
import {
  arrowsOf,
  circlesOf,
  differences,
  isDownward,
  merged,
  positionsIn,
  reachable,
  type Graph,
} from './graph.ts';

const DOCUMENT = textOf('docs/architecture.md');
const FILES = filesBelow(['spec', 'impl', 'properties', 'test', 'cli'], '.ts');

/** Every relative import of a source file, as paths in the repository. */
function importsOf(file: string): string[] {
  const found = textOf(file).matchAll(/^(?:import|export)[^;]*? from '(\.[^']+)';/gm);
  return [...found].map(([, to = '']) => join(dirname(file), to));
}

const IMPORTS: Graph = new Map(FILES.map((file) => [file, new Set(importsOf(file))]));

const foldersIn = (cell = ''): string[] =>
  [...cell.matchAll(/`([^`]+)\/`/g)].map(([, folder = '']) => folder);

/** The innermost of `folders` that a file is in. */
const innermost = (folders: readonly string[], file: string): string | undefined =>
  folders.toSorted((a, b) => b.length - a.length).find((folder) => file.startsWith(`${folder}/`));

test('no import points to a higher floor, nor from one specification into the other', () => {
  const floors = new Map(
    tableIn(DOCUMENT, 'floor').flatMap(([floor, cell]) =>
      foldersIn(cell).map((folder): [string, number] => [folder, Number(floor)]),
    ),
  );
  const rooms = merged(IMPORTS, (file) => innermost([...floors.keys()], file));
  const height = (room: string): number => floors.get(room) ?? Number.NaN;
  const wrong = arrowsOf(rooms).filter(
    ([from, to]) => !(height(to) < height(from) || (from === 'test' && to === 'cli')),
  );

  expect(FILES.length).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
});

/** What each folder's row says, by folder. */
const ROWS = new Map(
  tableIn(DOCUMENT, 'folder').map(([cell = '', parts = '']) => [
    foldersIn(cell)[0] ?? cell,
    positionsIn(parts),
  ]),
);

/** The part of a folder that a file is in: a folder, a file that the row names, or "others". */
function partOf(folder: string, file: string): string | undefined {
  if (!file.startsWith(`${folder}/`)) return undefined;
  const [first = '', ...rest] = file.slice(folder.length + 1).split('/');
  return rest.length > 0 || ROWS.get(folder)?.has(first) === true ? first : 'others';
}

test.each([...ROWS])('in %s/ no import points up', (folder, positions) => {
  const parts = merged(IMPORTS, (file) => partOf(folder, file));
  const wrong = arrowsOf(parts).filter(([from, to]) => !isDownward(positions, from, to));

  expect(wrong.map(([from, to]) => `${folder}/: ${from} imports ${to}`)).toEqual([]);
});

test('every folder with folders in it has a row, and every row names what is there', () => {
  const parents = new Set(
    FILES.map((file) => dirname(dirname(file))).filter(
      (folder) => folder !== '.' && !folder.startsWith('test'),
    ),
  );
  expect([...ROWS.keys()].toSorted()).toEqual([...parents].toSorted());
  for (const [folder, positions] of ROWS) {
    const parts = new Set(FILES.map((file) => partOf(folder, file)));
    parts.delete(undefined);
    expect([...positions.keys()].toSorted(), folder).toEqual([...parts].toSorted());
  }
});

test('the circles of files are the ones that it argues for', () => {
  const argued = tableIn(DOCUMENT, 'circle').map(([cell = '']) => {
    const [folder = ''] = foldersIn(cell);
    return [...cell.matchAll(/`([^`]+\.ts)`/g)].map(([, name = '']) => join(folder, name));
  });

  expect(circlesOf(IMPORTS)).toEqual(argued);
});

test('the picture has every import between two rooms, and no other arrow', () => {
  const picture = blocksOf(DOCUMENT).find(({ info }) => info === 'mermaid')?.body ?? '';
  const rooms = new Map(
    [...picture.matchAll(/^ *(\w+)\["(.+)\/"\]$/gm)].map(([, id = '', room = '']) => [id, room]),
  );
  const drawn = new Map<string, Set<string>>();
  for (const [, from = '', to = ''] of picture.matchAll(/^ *(\w+) --> (\w+)$/gm)) {
    const room = rooms.get(from) ?? from;
    drawn.set(room, (drawn.get(room) ?? new Set()).add(rooms.get(to) ?? to));
  }
  const real = merged(IMPORTS, (file) => innermost([...rooms.values()], file));

  expect(rooms.size).toBeGreaterThan(10);
  expect(differences(drawn, real)).toEqual([]);
});

describe('the checks themselves', () => {
  const graph = (...arrows: string[]): Graph => {
    const made = new Map<string, Set<string>>();
    for (const [from = '', to = ''] of arrows.map((arrow) => arrow.split('>'))) {
      made.set(from, (made.get(from) ?? new Set()).add(to));
    }
    return made;
  };

  test('an import that points up, or to a part at the same position, is not downward', () => {
    const positions = positionsIn('`a/` → `b/`, `c.ts` → others');

    expect(isDownward(positions, 'a', 'others')).toBe(true);
    expect(isDownward(positions, 'b', 'a')).toBe(false);
    expect(isDownward(positions, 'b', 'c.ts')).toBe(false);
    expect(isDownward(positions, 'a', 'unlisted')).toBe(false);
  });

  test('a circle is found, whatever leads to it and away from it', () => {
    expect(circlesOf(graph('a>b', 'b>c', 'c>b', 'c>d'))).toEqual([['b', 'c']]);
    expect(circlesOf(graph('a>b', 'a>c', 'b>c'))).toEqual([]);
    expect(reachable(graph('a>b', 'b>c'), 'a')).toEqual(new Set(['b', 'c']));
  });

  test('an arrow too many or too few is a difference; one that others imply is not', () => {
    const real = graph('a>b', 'b>c', 'a>c');

    expect(differences(graph('a>b', 'b>c'), real)).toEqual([]);
    expect(differences(graph('a>b', 'b>c', 'c>a'), real)).toHaveLength(1);
    expect(differences(graph('a>b'), real)).toHaveLength(2);
  });
});
