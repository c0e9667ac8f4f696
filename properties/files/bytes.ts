/** Reads the bytes of a file or of standard input, plain or gzipped, as a stream. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { InputError } from './input.ts';

/** Name of a file that stands for standard input. */
export const STANDARD_INPUT = '-';

const CHUNK = 1 << 20;

/** Options of reading a file. */
export interface ReadOptions {
  /** Ends the reading early, as if the file ended. */
  readonly signal?: AbortSignal;
  /**
   * Is called with the reason if compressed data is damaged, and ends the reading there. Without it
   * that is an error.
   */
  readonly onDamage?: (why: string) => void;
  /** Number of bytes to read at once; 1 MiB by default. */
  readonly chunk?: number;
}

/**
 * Yields the bytes of `file`, unpacked if its first two bytes are those of gzip.
 *
 * @throws InputError if the file cannot be read, or is compressed in another way
 */
export async function* readBytes(file: string, options: ReadOptions = {}): AsyncGenerator<Buffer> {
  const { signal, onDamage, chunk = CHUNK } = options;
  const source =
    file === STANDARD_INPUT ? process.stdin : createReadStream(file, { highWaterMark: chunk });
  // a pipe that nothing writes to would keep the process alive
  const abort = (): void => void source.destroy(new Error('aborted'));
  signal?.addEventListener('abort', abort);
  try {
    for await (const bytes of await unpacked(file, source, chunk)) yield bytes;
  } catch (error) {
    if (signal?.aborted === true) return;
    const damage = DAMAGES.get(codeOf(error));
    if (damage === undefined || onDamage === undefined) throw unreadable(file, error);
    onDamage(damage);
  } finally {
    signal?.removeEventListener('abort', abort);
    source.destroy();
  }
}

/** Returns the bytes of a source, which may be a pipe: it is read once. */
async function unpacked(
  file: string,
  source: Readable,
  chunkSize: number,
): Promise<AsyncIterable<Buffer>> {
  // a stream without an encoding yields buffers
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  const first = await chunks.next();
  if (first.done === true) return Readable.from([]);
  const bytes = followed(first.value, chunks);
  const magic = first.value.subarray(0, MAGIC_BYTES).toString('latin1');
  const other = COMPRESSIONS.find(([begins]) => magic.startsWith(begins));
  if (other !== undefined) {
    const [, name, command] = other;
    const advice =
      file === STANDARD_INPUT ? `pipe it through ${command}c` : `unpack it: ${command} ${file}`;
    throw new InputError(file, `compressed by ${name}`, advice);
  }
  if (!magic.startsWith(GZIP)) return bytes;
  const packed = Readable.from(bytes, { objectMode: false });
  const gunzip = createGunzip({ chunkSize });
  packed.on('error', (error) => gunzip.destroy(error));
  return packed.pipe(gunzip);
}

async function* followed(
  first: Buffer,
  rest: AsyncIterator<Buffer, undefined>,
): AsyncGenerator<Buffer> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

const GZIP = '\u{1F}\u{8B}';
const MAGIC_BYTES = 6;

/** Other compressions: first bytes, name, and the command that unpacks. */
const COMPRESSIONS: readonly (readonly [begins: string, name: string, command: string])[] = [
  ['\u{FD}7zXZ\0', 'xz', 'xz -d'],
  ['(\u{B5}/\u{FD}', 'zstd', 'zstd -d'],
  ['BZh', 'bzip2', 'bzip2 -d'],
  ['\u{4}"M\u{18}', 'lz4', 'lz4 -d'],
];

const DAMAGES: ReadonlyMap<string, string> = new Map([
  ['Z_BUF_ERROR', 'the gzip data ends too early'],
  ['Z_DATA_ERROR', 'the gzip data is damaged'],
]);

const REASONS: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['ENOENT', ['no such file', 'check the path']],
  ['EISDIR', ['a directory', 'name the files in it']],
  ['EACCES', ['not readable', 'check its permissions']],
]);

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';

function unreadable(file: string, error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof InputError || code === '') return error;
  const damage = DAMAGES.get(code);
  if (damage !== undefined) return new InputError(file, damage, 'copy the file again');
  const [what, advice] = REASONS.get(code) ?? [`cannot be read (${code})`, 'check the file'];
  return new InputError(file, what, advice);
}
