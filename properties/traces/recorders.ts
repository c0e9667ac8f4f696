/**
 * Text of traces, also of the files of trace-cmd and perf, which their own tools print. Source of
 * the first bytes: trace-cmd.dat(5); Linux, tools/perf/Documentation/perf.data-file-format.txt.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { readBytes, STANDARD_INPUT, type ReadOptions } from '../files/bytes.ts';
import { InputError } from '../files/input.ts';

interface Recorder {
  readonly name: string;
  /** First bytes of its files. */
  readonly begins: string;
  /** Command that prints a file as text, without the file's name at the end. */
  readonly command: readonly [string, ...string[]];
}

const RECORDERS: readonly Recorder[] = [
  {
    name: 'trace-cmd',
    begins: '\u{17}\u{8}\u{44}tracing',
    // versions before 3.2 print the flags of interrupts in the latency format only
    command: ['trace-cmd', 'report', '-l', '-i'],
  },
  {
    name: 'perf',
    begins: 'PERFILE2',
    command: [
      'perf',
      'script',
      '--ns',
      '--show-lost-events',
      '-F',
      'comm,tid,cpu,time,event,trace',
      '-i',
    ],
  },
];

/**
 * Yields the text of a trace. A file of trace-cmd or perf is printed by that tool.
 *
 * @throws InputError if the file cannot be read, or the tool is missing or fails
 */
export async function* readText(file: string, options: ReadOptions): AsyncGenerator<Buffer> {
  const chunks = readBytes(file, options);
  const first = await chunks.next();
  if (first.done === true) return;
  const head = first.value.subarray(0, 16).toString('latin1');
  const recorder = RECORDERS.find(({ begins }) => head.startsWith(begins));
  if (recorder === undefined) {
    yield first.value;
    yield* chunks;
    return;
  }
  await chunks.return(undefined);
  yield* printed(recorder, file, options.signal);
}

/** Yields what the tool of a recorder prints of a file. */
async function* printed(
  recorder: Recorder,
  file: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const { name, command } = recorder;
  const shown = `${command.join(' ')} ${file === STANDARD_INPUT ? 'FILE' : file}`;
  const advice = `run: ${shown} | sept trace -`;
  if (file === STANDARD_INPUT) throw new InputError(file, `a file of ${name}, not text`, advice);
  const [tool, ...args] = command;
  const child = spawn(tool, [...args, file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const end = ended(child);
  const abort = (): void => void child.kill();
  signal?.addEventListener('abort', abort);
  let isEmpty = true;
  try {
    for await (const chunk of child.stdout) {
      isEmpty = false;
      yield chunk as Buffer; // a stream without an encoding yields buffers
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    child.kill();
  }
  const { code, errors } = await end;
  // trace-cmd succeeds with files that it cannot read
  if ((code === 0 && !isEmpty) || signal?.aborted === true) return;
  throw new InputError(
    file,
    errors === MISSING
      ? `a file of ${name}, which is not installed here`
      : `${tool} cannot print it: ${errors}`,
    errors === MISSING ? `where it is, run: ${shown} > trace.txt` : `try: ${shown}`,
  );
}

const MISSING = 'ENOENT';

/** How a tool has ended: its exit status, and the first line of its errors or MISSING. */
interface End {
  readonly code: number | null;
  readonly errors: string;
}

function ended(child: ChildProcessByStdio<null, Readable, Readable>): Promise<End> {
  let errors = '';
  child.stderr.on('data', (text) => {
    if (errors.length < 1000) errors += String(text);
  });
  const firstLine = (): string => errors.trim().split('\n')[0] ?? '';
  return new Promise((resolve) => {
    child.once('error', (error) => {
      resolve({ code: null, errors: 'code' in error ? String(error.code) : error.message });
    });
    child.once('close', (code) => {
      const silent = code === 0 ? 'it prints nothing' : `exit status ${code}`;
      resolve({ code, errors: firstLine() || silent });
    });
  });
}
