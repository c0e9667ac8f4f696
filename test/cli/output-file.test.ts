/** Where the files that a command line names are written, and how. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOutput, makeFolder, writeOutput } from '../../cli/output-file.ts';
import { pathOf } from '../support/repository.ts';
import { sept } from './run.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sept-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

/** Permission bits of a mode. */
const PERMISSIONS = 0o777;

describe('an output file', () => {
  test('a file that is replaced keeps its mode, and no draft is left', () => {
    writeFileSync(at('secret'), 'old');
    chmodSync(at('secret'), 0o600);
    writeOutput(at('secret'), 'new');

    expect(readFileSync(at('secret'), 'utf8')).toBe('new');
    expect(statSync(at('secret')).mode & PERMISSIONS).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['secret']);
  });

  test('a symlink stays, and what it leads to is written, whether it exists or not', () => {
    symlinkSync('target', at('link'));
    for (const text of ['first', 'second']) {
      writeOutput(at('link'), text);
      expect(readFileSync(at('target'), 'utf8')).toBe(text);
    }
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
  });

  test('a FIFO is written through, and stays a FIFO', () => {
    execFileSync('mkfifo', [at('fifo')]);
    const module = pathOf('cli/output-file.ts');
    const code = `(await import('${module}')).writeOutput(process.argv[1], 'through')`;
    const script = '"$0" --import "$1" --input-type module -e "$2" "$3" & cat "$3"; wait $!';
    const tsx = import.meta.resolve('tsx');
    expect(
      execFileSync('sh', ['-c', script, process.execPath, tsx, code, at('fifo')], {
        encoding: 'utf8',
      }),
    ).toBe('through');
    expect(statSync(at('fifo')).isFIFO()).toBe(true);
  });

  test('a device is written through, and stays a device', () => {
    symlinkSync('/dev/null', at('null'));
    writeOutput(at('null'), 'gone');

    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(() => writeOutput('/dev/full', 'x')).toThrow('no space is left on the device');
    expect(statSync('/dev/full').isCharacterDevice()).toBe(true);
  });

  test.each([
    ['in a folder that is absent', 'absent/file', /no folder .*absent; create it first$/],
    ['that is a folder', '.', /is a folder; name a file$/],
  ])('a file %s is refused', (_what, name, message) => {
    expect(() => writeOutput(join(folder, name), 'x')).toThrow(message);
  });

  test('a file that must be new is refused where it exists, or where its folder is a file', () => {
    writeFileSync(at('there'), 'old');

    expect(() => createOutput(at('there'), 'new')).toThrow('the file exists');
    expect(() => createOutput(join(at('there'), 'x'), 'new')).toThrow('there is no such folder');
    expect(readFileSync(at('there'), 'utf8')).toBe('old');
  });

  test('a folder is created with those that it is in, and refused in a file', () => {
    makeFolder(at('a/b/c'));
    expect(statSync(at('a/b/c')).isDirectory()).toBe(true);
    writeFileSync(at('plain'), '');
    expect(() => makeFolder(at('plain/d'))).toThrow('not a folder');
  });
});

describe('--emit-trace -', () => {
  test('the trace goes to standard output, and the report to stderr', async () => {
    const shown = await sept('show', 'frozen-mirror', 'v0: read 0', '--emit-trace', '-');

    expect(shown.stdout).toMatch(/^# probes: /);
    expect(shown.stderr).toContain('no rule is broken by this scenario');
  });

  test('--json beside it is refused in one line', async () => {
    expect(
      await sept('show', 'frozen-mirror', 'v0: read 0', '--json', '--emit-trace', '/dev/stdout'),
    ).toEqual({
      code: 2,
      stdout: '',
      stderr: 'sept: --json and the trace both go to standard output; write one to a file\n',
    });
  });
});

describe('one line on stderr', () => {
  test('a working directory that was removed is reported', () => {
    const script = `mkdir gone && cd gone && rmdir ../gone && "$0" ${pathOf('cli/bin.mjs')} rules`;
    const { status, stderr } = spawnSync('sh', ['-c', script, process.execPath], {
      cwd: folder,
      encoding: 'utf8',
    });

    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'sept: the working directory was removed; change to another\n',
    });
  });

  test.each([
    ['an unknown flag with a suggestion', ['rules', '--jsn']],
    ['a line break in a scenario', ['show', 'frozen-mirror', 'v0: read 0\nxx']],
    ['sept new in a file', ['new', 'policy', 'zz', '--dir', pathOf('package.json')]],
    ['sept new property in a file', ['new', 'property', 'zz', '--dir', pathOf('package.json')]],
  ])('%s is reported', async (_what, args) => {
    const { code, stderr } = await sept(...args);

    expect({ code, lines: stderr.trimEnd().split('\n').length }).toEqual({ code: 2, lines: 1 });
  });
});
