/**
 * A folder outside the repository with policies and rules of a user: it has no package.json, and
 * sept-conformance is not installed in it.
 */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { expect } from 'vitest';
import { sept, septProcess, type Ran } from './run.ts';

const RUNS = ['--runs', '100'];
/** Rules that a hundred scenarios exercise. */
export const EXERCISED_RULES = ['--property', 'S01,S02'];
/** Beginning of the output for a policy "mine" that passes. */
export const PASSES = /^mine, module 1\.5\.05: passes /;

export class OutsideFolder {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'sept-outside-')));

  /** Writes a file. Returns its path. */
  write(name: string, text: string): string {
    writeFileSync(this.pathOf(name), text);
    return this.pathOf(name);
  }

  read(name: string): string {
    return readFileSync(this.pathOf(name), 'utf8');
  }

  pathOf(name: string): string {
    return join(this.path, name);
  }

  names(): string[] {
    return readdirSync(this.path);
  }

  /** Checks a policy, in this process. */
  check(name: string, text: string, ...args: string[]): Promise<Ran> {
    return sept('check', this.write(name, text), ...RUNS, ...args);
  }

  /** Checks a policy by the installed command, which loads modules by its own hooks. */
  checkByCommand(name: string, text: string, ...args: string[]): Promise<Ran> {
    return septProcess('check', this.write(name, text), ...RUNS, ...args);
  }

  /** Expects exit status 2 and one line on stderr. Returns the line without the folder's path. */
  async refusal(ran: Promise<Ran>): Promise<string> {
    const { code, stdout, stderr } = await ran;
    expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({
      code: 2,
      stdout: '',
      lines: 2,
    });
    return stderr.replaceAll(relative('', this.path), '').replaceAll(this.path, '').trimEnd();
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
