/**
 * `sept new policy NAME`, `sept new module NAME`, `sept new property NAME`: writes a file that runs
 * as it is, with comments about what to change.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { catalogue } from '../../properties/checker/reports/catalogue.ts';
import { NEWEST_VERSIONS } from '../../spec/tdx/versions/index.ts';
import { EXIT_CLEAN } from '../errors.ts';
import { createOutput } from '../output-file.ts';
import { print } from '../output.ts';
import {
  moduleScaffold,
  moduleTestScaffold,
  policyScaffold,
  propertyScaffold,
  type Part,
  type Place,
} from '../scaffolds.ts';

/** A folder whose rules are found without being named, as is properties/ itself. */
const RULES = join('properties', 'rules');

interface Options {
  readonly dir: string;
}

/** The command; it answers with the exit code. */
export const newCommand = (exit: (code: number) => void): Command =>
  new Command('new')
    .description('write a policy, a module or a property to start from; it runs as it is')
    .addCommand(
      kindOf(
        'policy',
        'a policy: frozen-mirror with one entry point to change',
        (name, { dir }) => {
          const file = join(dir, `${name}.ts`);
          create([file, policyScaffold, placeOf(name, file, `check ${file}`)]);
          exit(EXIT_CLEAN);
        },
      ),
    )
    .addCommand(
      kindOf(
        'module',
        'a module: the newest version with one function to change, and its test',
        (name, { dir }) => {
          const [file, test] = [join(dir, `${name}.ts`), join(dir, `${name}.test.ts`)];
          const place = placeOf(name, file, `check frozen-mirror --module ${file}`);
          const tested = { ...place, command: `npx vitest run ${test}` };
          create(
            [file, moduleScaffold(NEWEST_VERSIONS[0] ?? ''), place],
            [test, moduleTestScaffold(file), tested],
          );
          exit(EXIT_CLEAN);
        },
      ),
    )
    .addCommand(
      kindOf('property', 'a property: a rule that watches SEAMCALLs', (name, { dir }) => {
        const id = freeId(dir);
        const folder = folderInClone(dir);
        // a rule in properties/rules/ is found by its file's name
        const file = join(dir, folder === RULES ? `${id.toLowerCase()}-${name}.ts` : `${name}.ts`);
        const given = folder === RULES || folder === 'properties' ? '' : ` --property ${file}`;
        create([file, propertyScaffold(id), placeOf(name, file, `check frozen-mirror${given}`)]);
        exit(EXIT_CLEAN);
      }),
    );

const kindOf = (
  kind: string,
  what: string,
  action: (name: string, options: Options) => void,
): Command =>
  new Command(kind)
    .description(`write ${what}`)
    .argument('<name>', 'its name and that of the file, such as zap-under-read', parseName)
    .option('--dir <folder>', 'where to write it', '.')
    .action(action);

function parseName(text: string): string {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(text)) {
    throw new InvalidArgumentError(
      'Give lower-case letters and digits, with hyphens between words: zap-under-read.',
    );
  }
  return text;
}

/** Writes scaffolds, all of them or none, and prints the command that runs each. */
function create(...files: readonly (readonly [string, (place: Place) => string, Place])[]): void {
  const written: string[] = [];
  try {
    for (const [file, scaffold, place] of files) {
      createOutput(file, scaffold(place));
      written.push(file);
    }
  } catch (error) {
    for (const file of written) rmSync(file);
    throw error;
  }
  for (const [file, , { command }] of files) {
    print(`${file} is written; it runs as it is:`);
    print(`    ${command}`);
  }
}

function placeOf(name: string, file: string, check: string): Place {
  const clone = cloneAround(dirname(resolve(file)));
  const command = clone === null ? `sept ${check}` : `npm run -s sept -- ${check}`;
  return {
    name,
    command,
    from: (part) => (clone === null ? `sept-conformance/${part}` : within(clone, file, part)),
  };
}

/** The path by which a file in a clone imports a part of it. */
function within(clone: string, file: string, part: Part): string {
  const index = part === 'testing' ? 'properties/testing.ts' : `${part}/index.ts`;
  const path = relative(dirname(resolve(file)), join(clone, index));
  return path.startsWith('.') ? path : `./${path}`;
}

/** The clone of this repository that contains `folder`, or null outside a clone. */
function cloneAround(folder: string): string | null {
  const manifest = join(folder, 'package.json');
  const isClone =
    existsSync(join(folder, 'impl', 'index.ts')) &&
    existsSync(manifest) &&
    /"name": "sept-conformance"/.test(readFileSync(manifest, 'utf8'));
  if (isClone) return folder;
  return dirname(folder) === folder ? null : cloneAround(dirname(folder));
}

/** The path of a folder within the clone that contains it, or null outside a clone. */
function folderInClone(dir: string): string | null {
  const clone = cloneAround(resolve(dir));
  return clone === null ? null : relative(clone, resolve(dir));
}

/** The first of X01, X02, … that is the id of no shipped rule and of no rule in `dir`. */
function freeId(dir: string): string {
  const isFolder = statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true;
  const beside = isFolder ? readdirSync(dir).filter((name) => name.endsWith('.ts')) : [];
  const texts = beside.map((name) => readFileSync(join(dir, name), 'utf8')).join('\n');
  const taken = new Set([...catalogue().map(({ id }) => id), ...(texts.match(/\bX\d\d\b/g) ?? [])]);
  const ids = Array.from({ length: 99 }, (_, i) => `X${String(i + 1).padStart(2, '0')}`);
  return ids.find((id) => !taken.has(id)) ?? 'X00';
}
