/**
 * Documents that are run. A fenced block `ts NAME` is a file that the reader is told to write at
 * the top of a clone; a block `console` shows commands, each on a line `$ npm run -s sept -- …`,
 * and what they print.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathOf } from '../support/repository.ts';

interface Block {
  /** What stands after the opening fence, e.g. `ts my-policy.ts`. */
  readonly info: string;
  readonly body: string;
  /** Where the body begins and ends in the document. */
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

/** The name of the file that a block tells its reader to write. */
const fileOf = ({ info }: Block): string | undefined => /^ts (\S+)$/.exec(info)?.[1];

/** The files that a document tells its reader to write: name and contents. */
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
}

export interface Ran {
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
function wordsOf(
  line: string,
  variables: Readonly<Record<string, string>>,
): { args: string[]; lines: number } {
  const [, command = '', lines] = /^(.*?)(?: \| head -(\d+))?$/.exec(line) ?? [];
  const args = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain = '']) =>
      quoted ?? plain.replaceAll(/\$([A-Z]+)/g, (_, name: string) => variables[name] ?? ''),
  );
  return { args, lines: lines === undefined ? Number.POSITIVE_INFINITY : Number(lines) };
}

/**
 * What a document's commands may refer to as `$NAME`; a block that names one that is not here is
 * left as it is.
 */
export type Variables = Readonly<Record<string, string>>;

interface Refreshed {
  readonly text: string;
  /** Commands that could not be used, and what they said. */
  readonly unusable: readonly string[];
}

/**
 * The document with every `console` block as it would look now, to a reader who has written the
 * files above it.
 */
export async function refreshed(
  text: string,
  clone: Clone,
  variables: Variables,
): Promise<Refreshed> {
  const unusable: string[] = [];
  let now = '';
  let at = 0;
  for (const block of blocksOf(text)) {
    const { info, body, from, to } = block;
    const file = fileOf(block);
    if (file !== undefined) clone.write(file, body);
    const names = [...body.matchAll(/\$([A-Z]+)/g)].map(([, name = '']) => name);
    if (info !== 'console' || names.some((name) => !(name in variables))) continue;
    const commands = body.split('\n').filter((line) => line.startsWith(PROMPT));
    // oxlint-disable-next-line no-await-in-loop -- the blocks one after the other: there are two cores, and other tests
    const shown = await Promise.all(
      commands.map(async (line) => {
        const { args, lines } = wordsOf(line.slice(PROMPT.length), variables);
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
