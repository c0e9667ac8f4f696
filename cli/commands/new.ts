/**
 * `sept new policy NAME`, `sept new property NAME`: writes a file that runs at once and says what
 * to change in it.
 */
import { existsSync, linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { catalogue } from '../../properties/checker/reports/catalogue.ts';
import { EXIT_CLEAN, UsageError } from '../errors.ts';
import { print } from '../output.ts';
import { policyScaffold, propertyScaffold, type Place } from '../scaffolds.ts';

interface Options {
  readonly dir: string;
}

/** The command; it answers with the exit code. */
export const newCommand = (exit: (code: number) => void): Command =>
  new Command('new')
    .description('write a policy or a property to start from, which runs as it is')
    .addCommand(
      kindOf(
        'policy',
        'a policy: frozen-mirror, with an entry point to change',
        (name, { dir }) => {
          const file = join(dir, `${name}.ts`);
          create(file, policyScaffold, placeOf(name, file, `check ${file}`));
          exit(EXIT_CLEAN);
        },
      ),
    )
    .addCommand(
      kindOf('property', 'a property: a rule that watches calls of the module', (name, { dir }) => {
        const file = join(dir, `${name}.ts`);
        const given = isFound(dir) ? '' : ` --property ${file}`;
        create(
          file,
          propertyScaffold(freeId(dir)),
          placeOf(name, file, `check frozen-mirror${given}`),
        );
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
    .argument('<name>', 'its name, such as zap-under-read; the file is called after it', parseName)
    .option('--dir <folder>', 'where to write it', '.')
    .action(action);

function parseName(text: string): string {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(text)) {
    throw new InvalidArgumentError(
      'Give small letters and digits, with hyphens between words: zap-under-read.',
    );
  }
  return text;
}

/** Writes a scaffold and says what to do next. */
function create(file: string, scaffold: (place: Place) => string, place: Place): void {
  write(file, scaffold(place));
  print(`${file} is written; it runs as it is:`);
  print(`    ${place.command}`);
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

/** How a file in a clone imports a part of it. */
function within(clone: string, file: string, part: string): string {
  const path = relative(dirname(resolve(file)), join(clone, part, 'index.ts'));
  return path.startsWith('.') ? path : `./${path}`;
}

/**
 * The clone of this repository that `folder` is in, or null: there the package is used from its
 * sources.
 */
function cloneAround(folder: string): string | null {
  const manifest = join(folder, 'package.json');
  const isClone =
    existsSync(join(folder, 'impl', 'index.ts')) &&
    existsSync(manifest) &&
    /"name": "sept-conformance"/.test(readFileSync(manifest, 'utf8'));
  if (isClone) return folder;
  return dirname(folder) === folder ? null : cloneAround(dirname(folder));
}

/** Rules in these folders of a clone are found without being named. */
function isFound(dir: string): boolean {
  const clone = cloneAround(resolve(dir));
  return (
    clone !== null &&
    ['properties', join('properties', 'rules')].includes(relative(clone, resolve(dir)))
  );
}

/**
 * The first of X01, X02, … that no rule has, neither one that is shipped nor one beside the new
 * file.
 */
function freeId(dir: string): string {
  const beside = existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith('.ts')) : [];
  const texts = beside.map((name) => readFileSync(join(dir, name), 'utf8')).join('\n');
  const taken = new Set([...catalogue().map(({ id }) => id), ...(texts.match(/\bX\d\d\b/g) ?? [])]);
  const ids = Array.from({ length: 99 }, (_, i) => `X${String(i + 1).padStart(2, '0')}`);
  return ids.find((id) => !taken.has(id)) ?? 'X00';
}

/** Writes a file that must not be there yet: all of it, or nothing. @throws UsageError */
function write(file: string, text: string): void {
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, text, { flag: 'wx' });
    linkSync(draft, file); // which refuses where there is something already
  } catch (error) {
    throw new UsageError(`${file} is not written: ${reasonOf(error)}`);
  } finally {
    rmSync(draft, { force: true });
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'EEXIST')
    return 'it is there already; take another name, or another folder with --dir';
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such folder; make it first';
  return error instanceof Error ? error.message : String(error);
}
