/**
 * The public API: each entry point lists its names, and these are enough to write the shipped
 * policies, known bugs and rules elsewhere. `-u` accepts a change of the names.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as impl from '../../impl/index.ts';
import * as properties from '../../properties/index.ts';
import * as everything from '../../properties/public.ts';
import * as testing from '../../properties/testing.ts';
import * as spec from '../../spec/index.ts';
import { pathOf, textOf } from '../support/repository.ts';
import { exportGroups, namesOf, PARTS, publicText } from './entry-points.ts';

const LOADED = { '/spec': spec, '/impl': impl, '/properties': properties, '/testing': testing };
const ENTRY_POINTS = [...Object.values(PARTS), 'properties/public.ts'];

describe.each(Object.entries(PARTS))('sept-conformance%s', (part, file) => {
  test('it exports the names that it exported before', async () => {
    const lines = namesOf(file)
      .map(({ name, isType, file: from }) => `${isType ? 'type ' : ''}${name}  ${from}`)
      .toSorted();

    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(
      pathOf(`test/package/names${part.replace('/', '-')}.txt`),
    );
  });

  test('it exports the values that its text lists', () => {
    const values = namesOf(file).filter(({ isType }) => !isType);

    expect(Object.keys(LOADED[part as keyof typeof LOADED]).toSorted()).toEqual(
      values.map(({ name }) => name).toSorted(),
    );
  });
});

test('sept-conformance exports all names of spec, impl and properties', async () => {
  await expect(publicText()).toMatchFileSnapshot(pathOf('properties/public.ts'));
});

test.each(ENTRY_POINTS)('%s lists every name, in groups with @public and @since', (file) => {
  const untagged = exportGroups(file).filter((group) => {
    const [comment = ''] = group.split('*/');
    return !/@public\b/.test(comment) || !/@since \d+\.\d+\.\d+/.test(comment);
  });

  expect(untagged).toEqual([]);
  expect(textOf(file)).not.toMatch(/^export \*/m);
});

/** A declaration of `name`, other than of a policy, whose title describes it. */
const declarationOf = (name: string): RegExp =>
  new RegExp(
    `^export (abstract )?(function\\*?|class|interface|type|const) ${name}\\b(?!: Policy = )`,
  );

test.each(Object.values(PARTS))('%s exports no undocumented function, class or type', (file) => {
  const undocumented = namesOf(file)
    .filter(({ name }) => !/^[A-Z0-9_]+$/.test(name))
    .filter(({ name, file: from }) => {
      const lines = textOf(from).split('\n');
      const at = lines.findIndex((line) => declarationOf(name).test(line));
      return at >= 0 && lines[at - 1]?.endsWith('*/') !== true;
    });

  expect(undocumented.map(({ name, file: from }) => `${from}: ${name}`)).toEqual([]);
});

/** Names that a file imports from other files, values and types, and the members of namespaces. */
function importsOf(file: string): string[] {
  const text = textOf(file);
  const named = [...text.matchAll(/^import (?:type )?\{([^}]*)\} from '(\.[^']*)';/gm)].flatMap(
    ([, names = '', from = '']) => {
      const isOfTests = join(dirname(file), from).startsWith('test/');
      return isOfTests ? [] : names.split(',').map((name) => name.trim().replace(/^type /, ''));
    },
  );
  const members = [...text.matchAll(/^import \* as (\w+) from '\.[^']*';/gm)].flatMap(
    ([, alias = '']) =>
      [...text.matchAll(new RegExp(`(?<![\\w.])${alias}\\.(\\w+)`, 'g'))].map(
        ([, member = '']) => member,
      ),
  );
  return [...named, ...members].filter((name) => name !== '');
}

const filesOf = (folder: string): string[] =>
  readdirSync(pathOf(folder))
    .filter((name) => name.endsWith('.ts') && !/^(index|discovery|rule|mutant)\.ts$/.test(name))
    .map((name) => `${folder}/${name}`);

test.each([
  ...filesOf('impl/policies'),
  ...filesOf('impl/mutants'),
  ...filesOf('properties/rules'),
  'test/properties/rules/faulty.ts',
])('the entry points export every name that %s imports', (file) => {
  const names = new Set(namesOf('properties/public.ts').map(({ name }) => name));

  expect(importsOf(file).filter((name) => !names.has(name))).toEqual([]);
});

test('the names of the package are distinct from part to part', () => {
  const names = Object.values(PARTS)
    .slice(0, 3)
    .flatMap((file) => namesOf(file).map(({ name }) => name));

  expect(names.length).toBe(new Set(names).size);
  expect(Object.keys(everything).length).toBeGreaterThan(300);
});
