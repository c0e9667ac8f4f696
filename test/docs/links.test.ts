/** Every file, folder and heading that a document points to exists. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { documents, filesBelow, pathOf, textOf } from '../support/repository.ts';
import { filesIn } from './document.ts';

/** The anchors of a document's headings. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

test('every link between the documents leads to a file, and to a heading if it names one', () => {
  const broken = documents().flatMap((name) =>
    [...textOf(name).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
      .filter(([, path = '', anchor]) => {
        const target = path === '' ? name : join(dirname(name), path);
        return (
          !existsSync(pathOf(target)) ||
          (anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor))
        );
      })
      .map(([link]) => `${name}: ${link}`),
  );

  expect(broken).toEqual([]);
});

const FILES = [
  ...filesBelow(['spec', 'impl', 'properties', 'cli', 'test', 'docs', 'recordings'], ''),
  '.ci/run',
];
const FOLDERS = [...new Set(FILES.map((file) => `/${dirname(file)}/`))];

/** Whether a path from anywhere in the repository, such as `state/chains.ts`, leads somewhere. */
const leadsSomewhere = (path: string): boolean =>
  path.endsWith('/')
    ? FOLDERS.some((folder) => folder.includes(`/${path}`))
    : FILES.some((file) => `/${file}`.endsWith(`/${path}`));

/** Paths in the code spans of a text: folders, and source files. */
const pathsIn = (text: string): string[] =>
  [
    ...text
      .replaceAll(/^```[\s\S]*?^```$/gm, '')
      .matchAll(/`((?:[\w.-]+\/)+|[\w./-]+\.(?:ts|mjs))`/g),
  ].map(([, path = '']) => path);

/** Names that stand for files of the reader, files of the kernel, and files that are made. */
const EXAMPLE = /NAME|NN|slug|^my-|^arch\/|^(node_modules|dist)\/$/;

test('every source file and folder that a document names exists', () => {
  const wrong = documents()
    .filter((name) => name !== 'CHANGELOG.md')
    .flatMap((name) => {
      const written = filesIn(textOf(name)).map(([file]) => file);
      return pathsIn(textOf(name))
        .filter((path) => !EXAMPLE.test(path) && !written.includes(path) && !leadsSomewhere(path))
        .map((path) => `${name}: ${path}`);
    });

  expect(wrong).toEqual([]);
});

test('a path that leads nowhere is found, and one in a console block is none', () => {
  expect(pathsIn('`a/b.ts`, `c/`, `d.md`\n```sh\n`e.ts`\n```\n')).toEqual(['a/b.ts', 'c/']);
  expect(leadsSomewhere('machine/step.ts')).toBe(true);
  expect(leadsSomewhere('machine/no-such-file.ts')).toBe(false);
  expect(leadsSomewhere('spec/machine/')).toBe(true);
  expect(leadsSomewhere('spec/no-such-folder/')).toBe(false);
});
