/** Reads the bytes of a file or of standard input, plain or gzipped, as a stream. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { InputError } from './input.ts';

/** Name of a file that stands for standard input. */
const STANDARD_INPUT = '-';

const CHUNK = 1 << 20;

/**
 * Yields the bytes of `file`, unpacked if its first two bytes are those of gzip.
 *
 * @throws InputError if the file cannot be read
 */
export async function* readBytes(file: string): AsyncGenerator<Buffer> {
  try {
    // a stream without an encoding yields buffers
    for await (const chunk of await open(file)) yield chunk as Buffer;
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** Opens a file, which may be a pipe: it is read once. */
async function open(file: string): Promise<Readable> {
  const from = file === STANDARD_INPUT ? { fd: 0 } : {};
  const source = createReadStream(file, { highWaterMark: CHUNK, ...from });
  const chunks = source[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done === true) return Readable.from([]);
  const head = first.value as Buffer; // see readBytes
  async function* all(): AsyncGenerator<unknown> {
    yield head;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next())
      yield next.value;
  }
  const bytes = Readable.from(all(), { objectMode: false });
  if (head[0] !== 0x1f || head[1] !== 0x8b) return bytes;
  const unpacked = createGunzip({ chunkSize: CHUNK });
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
