/**
 * Documents that are run. A fenced block `ts NAME` is a file that the reader writes at the top of a
 * clone; a block `console` shows commands, each on a line `$ npm run -s sept -- …`, and their
 * output.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathOf } from '../support/repository.ts';

/** Timeout in milliseconds for all commands of a document. */
export const LONG = 600_000;

interface Block {
  /** The rest of the line of the opening fence, e.g. `ts my-policy.ts`. */
  readonly info: string;
  readonly body: string;
  /** Offsets of the body in the document: begin and end. */
  readonly from: number;
  readonly to: number;
}

/** The fenced blocks of a document, in order. */
export function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\S.*)\n([\s\S]*?)^```$/gm)].map(
    ({ index, 1: info = '', 2: body = '' }) => {
      const from = index + '```'.length + info.length + 1;
      return { info, body, from, to: from + body.length };
    },
  );
}

/** Name of the file that a block has the reader write. */
const fileOf = ({ info }: Block): string | undefined => /^ts (\S+)$/.exec(info)?.[1];

/** The files that a document has its reader write: name and contents. */
export const filesIn = (text: string): [string, string][] =>
  blocksOf(text).flatMap((block) => {
    const name = fileOf(block);
    return name === undefined ? [] : [[name, block.body]];
  });

/** Rows of the table in a document whose header begins with `head`, each as its cells. */
export function tableIn(text: string, head: string): string[][] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${head} `));
  if (start < 0) throw new Error(`there is no table with the header | ${head}`);
  const rest = lines.slice(start + 2);
  const rows = rest.slice(
    0,
    rest.findIndex((line) => !line.startsWith('|')),
  );
  return rows.map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('\\|', '|')),
  );
}

/**
 * Blocks whose verdicts are not those that the paragraph before them claims, in the same order: the
 * text around output has to say `passes`, `fails` or `inconclusive` where the output does.
 */
export function wrongClaims(text: string): string[] {
  const wrong: string[] = [];
  let end = 0;
  for (const { info, body, from, to } of blocksOf(text)) {
    const before = text.slice(end, from - info.length - '```\n'.length).trimEnd();
    const paragraph = before.slice(before.lastIndexOf('\n\n') + 1).trim();
    end = to + '```\n'.length;
    if (info !== 'console') continue;
    const verdicts = [...body.matchAll(/(?:, module [\w.-]+: |"verdict":")(\w+)/g)].map(
      ([, verdict = '']) => verdict,
    );
    const claims = paragraph.match(/\b(passes|fails|inconclusive)\b/g) ?? [];
    const printed = verdicts.filter((verdict) => verdict !== 'no');
    if (printed.join() !== claims.join())
      wrong.push(`"${paragraph}" claims [${claims.join()}], the output says [${printed.join()}]`);
  }
  return wrong;
}

/** A folder that looks like the top of a clone, with the files of a document in it. */
export class Clone {
  readonly folder = mkdtempSync(join(tmpdir(), 'sept-docs-'));

  constructor(files: readonly (readonly [string, string])[]) {
    for (const part of [
      'impl',
      'node_modules',
      'package.json',
      'properties',
      'recordings',
      'spec',
    ]) {
      symlinkSync(pathOf(part), join(this.folder, part));
    }
    for (const [name, body] of files) this.write(name, body);
  }

  write(name: string, body: string): void {
    writeFileSync(join(this.folder, name), body);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  /** Runs a Node script of this repository here. */
  run(script: string, args: readonly string[]): Promise<Ran> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [pathOf(script), ...args],
        { cwd: this.folder, maxBuffer: 1 << 26 },
        (error, stdout, stderr) =>
          resolve({ failed: error === null ? 0 : (error.code ?? -1), stdout, stderr }),
      );
    });
  }

  /** The output of the compiler for the files here, with the settings of this repository. */
  compile(): Promise<Ran> {
    const settings = { extends: pathOf('tsconfig.json'), include: ['*.ts'] };
    this.write('tsconfig.json', JSON.stringify(settings));
    return this.run('node_modules/typescript/bin/tsc', ['-p', '.']);
  }
}

interface Ran {
  /** 0, or the exit code or reason of the failure. */
  readonly failed: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

const PROMPT = '$ npm run -s sept -- ';

/**
 * A command as the shell reads it: words, quoted ones whole; `| head -N` shows the first lines
 * only.
 */
function wordsOf(line: string): { args: string[]; lines: number } {
  const [, command = '', lines] = /^(.*?)(?: \| head -(\d+))?$/.exec(line) ?? [];
  const args = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain = '']) => quoted ?? plain,
  );
  return { args, lines: lines === undefined ? Number.POSITIVE_INFINITY : Number(lines) };
}

interface Refreshed {
  readonly text: string;
  /** Commands that could not be used, and their messages. */
  readonly unusable: readonly string[];
}

/**
 * The document with the present output in every `console` block, for a reader that has written the
 * files above it.
 */
export async function refreshed(text: string, clone: Clone): Promise<Refreshed> {
  const unusable: string[] = [];
  let now = '';
  let at = 0;
  for (const block of blocksOf(text)) {
    const { info, body, from, to } = block;
    const file = fileOf(block);
    if (file !== undefined) clone.write(file, body);
    if (info !== 'console') continue;
    const commands = body.split('\n').filter((line) => line.startsWith(PROMPT));
    // oxlint-disable-next-line no-await-in-loop -- a block may read files that the one before wrote
    const shown = await Promise.all(
      commands.map(async (line) => {
        const { args, lines } = wordsOf(line.slice(PROMPT.length));
        const { failed, stdout, stderr } = await clone.run('cli/bin.mjs', args);
        if ((failed !== 0 && failed !== 1) || stderr !== '')
          unusable.push(`${line}: ${failed} ${stderr}`);
        return `${line}\n${firstLines(stdout, lines)}`;
      }),
    );
    now += text.slice(at, from) + shown.join('\n');
    at = to;
  }
  return { text: now + text.slice(at), unusable };
}

const firstLines = (text: string, count: number): string => {
  const lines = text.split('\n');
  return lines.length - 1 <= count ? text : `${lines.slice(0, count).join('\n')}\n`;
};
