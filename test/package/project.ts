/**
 * An empty project outside the repository, with the package as npm would publish it. npm installs
 * the dependencies in the versions of this repository's package-lock.json, from its cache if `npm
 * ci` has left them there, else from the registry.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NAME = 'sept-conformance';

export interface Ran {
  readonly code: number | string;
  readonly output: string;
}

/** The fields of a package in a lock file that are used here. */
interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type Lock = Readonly<Record<string, Locked>>;

const jsonOf = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

export class Project {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'sept-package-')));

  /** Packs the package and installs it, and `others` beside it. */
  async install(...others: string[]): Promise<void> {
    const packed = await this.run('npm', [
      'pack',
      ROOT,
      '--json',
      '--pack-destination',
      this.folder,
    ]);
    const tarball = /"filename": "([^"]+)"/.exec(packed.output)?.[1];
    if (packed.code !== 0 || tarball === undefined)
      throw new Error(`npm pack failed: ${packed.output}`);
    // npm's own format
    const { packages } = jsonOf(join(ROOT, 'package-lock.json')) as { packages: Lock };
    const { dependencies, peerDependencies, peerDependenciesMeta, bin, version } = jsonOf(
      join(ROOT, 'package.json'),
    ) as Record<string, unknown>; // ours, as npm reads it
    const integrity = `sha512-${createHash('sha512')
      .update(readFileSync(join(this.folder, tarball)))
      .digest('base64')}`;
    const wanted = {
      [NAME]: `file:${tarball}`,
      ...Object.fromEntries(
        others.map((name) => [name, packages['']?.dependencies?.[name] ?? '*']),
      ),
    };
    const ours = {
      version,
      resolved: `file:${tarball}`,
      integrity,
      dependencies,
      peerDependencies,
      peerDependenciesMeta,
      bin,
    };
    // an object in our package.json
    const needed = neededBy([...Object.keys(dependencies as object), ...others], packages);
    const lock = { '': { dependencies: wanted }, [`node_modules/${NAME}`]: ours, ...needed };
    this.write('package.json', JSON.stringify({ private: true, dependencies: wanted }));
    this.write(
      'package-lock.json',
      JSON.stringify({ lockfileVersion: 3, requires: true, packages: lock }),
    );
    const installed = await this.run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund']);
    if (installed.code !== 0) throw new Error(`npm ci failed: ${installed.output}`);
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  /** Runs a command that is installed in the project. */
  bin(name: string, ...args: string[]): Promise<Ran> {
    return this.run(join(this.folder, 'node_modules', '.bin', name), args);
  }

  /** Runs a command in the project, without the environment of this test run. */
  run(command: string, args: readonly string[]): Promise<Ran> {
    const { PATH, HOME } = process.env;
    return new Promise((resolve) => {
      execFile(
        command,
        [...args],
        { cwd: this.folder, env: { PATH, HOME, NO_COLOR: '1' } },
        (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : (error.code ?? -1), output: `${stdout}${stderr}` }),
      );
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

/** Entries of a lock file for some packages and all their dependencies. */
function neededBy(names: readonly string[], lock: Lock): Lock {
  const found = new Map<string, Locked>();
  const add = (name: string, from: string): void => {
    const path = pathOf(name, from, lock);
    const locked = lock[path];
    if (locked === undefined || found.has(path)) return;
    found.set(path, locked);
    const { dependencies, peerDependencies, optionalDependencies } = locked;
    for (const needed of Object.keys({
      ...dependencies,
      ...peerDependencies,
      ...optionalDependencies,
    }))
      add(needed, path);
  };
  for (const name of names) add(name, '');
  return Object.fromEntries(found);
}

/** Path of package `name` as Node finds it for the package at `from`: innermost node_modules. */
function pathOf(name: string, from: string, lock: Lock): string {
  const path = `${from === '' ? '' : `${from}/`}node_modules/${name}`;
  if (from === '' || path in lock) return path;
  return pathOf(name, from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))), lock);
}
