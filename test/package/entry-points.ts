/** The entry points of the package, and the names that each exports. */
import { dirname, join } from 'node:path';
import { textOf } from '../support/repository.ts';

/** A public name, and the file that an entry point has it from. */
export interface PublicName {
  readonly name: string;
  readonly isType: boolean;
  readonly file: string;
}

/** The file of each part, by what stands after the package's name. */
export const PARTS = {
  '/spec': 'spec/index.ts',
  '/impl': 'impl/index.ts',
  '/properties': 'properties/index.ts',
  '/testing': 'properties/testing.ts',
} as const;

const LIST = /^export (type )?\{([^}]*)\}(?: from '([^']+)')?;$/gm;
const DECLARATION =
  /^export (?:abstract )?(const|function\*?|class|interface|type) ([A-Za-z_$][\w$]*)/gm;

const isTypeWord = (word: string | undefined): boolean => word === 'interface' || word === 'type';

/** Names that a file exports, in its order. A list must not rename. */
export function namesOf(file: string): PublicName[] {
  const text = textOf(file);
  const listed = [...text.matchAll(LIST)].flatMap(([, type, names = '', from]) =>
    names
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
      .map((name) => ({
        name: name.replace(/^type /, ''),
        isType: type !== undefined || name.startsWith('type '),
        file: from === undefined ? file : join(dirname(file), from),
      })),
  );
  const declared = [...text.matchAll(DECLARATION)].map(([, word, name = '']) => ({
    name,
    isType: isTypeWord(word),
    file,
  }));
  return [...listed, ...declared];
}

/** The groups of an entry point's exports, each with the comment before it. */
export const exportGroups = (file: string): string[] =>
  textOf(file)
    .split(/\n\n(?=\/\*\*|export|import)/)
    .filter((group) => /^export /m.test(group));

const WIDTH = 100;

/** `export` statements of some names from a file, as many names a line as fit. */
function statements(names: readonly string[], type: boolean, from: string): string[] {
  const lines: string[][] = [];
  const text = (line: readonly string[]): string =>
    `export ${type ? 'type ' : ''}{ ${line.join(', ')} } from '${from}';`;
  for (const name of names) {
    const last = lines.at(-1);
    if (last !== undefined && text([...last, name]).length <= WIDTH) last.push(name);
    else lines.push([name]);
  }
  return lines.map(text);
}

const GROUPS = [
  ['/spec', '../spec/index.ts', 'The vocabulary of machine, KVM and TDX module.'],
  ['/impl', '../impl/index.ts', 'Policies, known bugs, and the parts that they are made of.'],
  ['/properties', './index.ts', 'Checks, rules, and the judge of traces.'],
] as const;

/** The text of properties/public.ts: all names of three parts. */
export function publicText(): string {
  const groups = GROUPS.map(([part, from, what]) => {
    const names = namesOf(PARTS[part]);
    const of = (wanted: boolean): string[] =>
      names
        .filter(({ isType }) => isType === wanted)
        .map(({ name }) => name)
        .toSorted();
    return [
      `/** ${what} @public @since 0.1.0 */`,
      ...statements(of(false), false, from),
      ...statements(of(true), true, from),
      '',
    ].join('\n');
  });
  return [
    '/**',
    ' * `sept-conformance`: all names of `sept-conformance/spec`, `/impl` and `/properties`. ' +
      'Written by',
    ' * `npx vitest run test/package/exports.test.ts -u`.',
    ' */',
    '',
    groups.join('\n'),
  ].join('\n');
}
