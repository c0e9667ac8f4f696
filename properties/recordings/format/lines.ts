/**
 * JSON Lines, plain or gzipped, as a stream: a recording of any size costs the memory of its longest line.
 */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';
import { InputError } from './input.ts';

/** A line of a file that is not blank, parsed. */
export interface ParsedLine {
  /** `file:line`, for reports. */
  readonly where: string;
  readonly value: unknown;
}

/** Every line of `file` that is not blank. Throws an InputError that names the line. */
export async function* readLines(file: string): AsyncGenerator<ParsedLine> {
  let number = 0;
  for await (const text of textLines(file)) {
    number++;
    if (text.trim() !== '') yield { where: `${file}:${number}`, value: parse(text, `${file}:${number}`) };
  }
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const advice = 'give JSON Lines, one scenario a line, from a file that is whole';
    throw new InputError(where, 'not a line of JSON', advice);
  }
}

/** The lines of a text file, plain or gzipped. Throws an InputError when it cannot be read. */
export async function* textLines(file: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  try {
    for await (const chunk of await open(file)) {
      const text = rest + decoder.write(chunk as Buffer); // a stream without an encoding yields buffers
      let from = 0;
      for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
        yield text.slice(from, to);
        from = to + 1;
      }
      rest = text.slice(from);
    }
  } catch (error) {
    throw unreadable(file, error);
  }
  rest += decoder.end();
  if (rest !== '') yield rest;
}

/** The bytes of a file, unpacked if its first two say gzip. Also reads pipes, which cannot be read twice. */
async function open(file: string): Promise<Readable> {
  const source = createReadStream(file, { highWaterMark: 1 << 20 });
  const chunks = source[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done === true) return Readable.from([]);
  const head = first.value as Buffer; // see textLines
  async function* all(): AsyncGenerator<unknown> {
    yield head;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
  }
  const bytes = Readable.from(all(), { objectMode: false });
  if (head[0] !== 0x1f || head[1] !== 0x8b) return bytes;
  const unpacked = createGunzip({ chunkSize: 1 << 20 });
  bytes.on('error', (error) => unpacked.destroy(error));
  return bytes.pipe(unpacked);
}

const REASONS: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['ENOENT', ['no such file', 'check the path']],
  ['EISDIR', ['a directory', 'name the files in it']],
  ['EACCES', ['not readable', 'check its permissions']],
  ['Z_BUF_ERROR', ['the gzip data ends too early', 'copy the file again']],
  ['Z_DATA_ERROR', ['the gzip data is damaged', 'copy the file again']],
]);

function unreadable(file: string, error: unknown): unknown {
  if (error instanceof InputError || !(error instanceof Error) || !('code' in error)) return error;
  const code = String(error.code);
  const [what, advice] = REASONS.get(code) ?? [`cannot be read (${code})`, 'check the file'];
  return new InputError(file, what, advice);
}
