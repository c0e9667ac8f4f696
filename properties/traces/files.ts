/** Traces in files. Memory depends on the VMs in a trace, not on its size. */
import { setMaxListeners } from 'node:events';
import { InputError } from '../files/input.ts';
import { TraceJudge } from './judge.ts';
import { mergeLines } from './merge.ts';
import { LineSplitter } from './reader/lines.ts';
import { readText } from './recorders.ts';
import type { TraceOptions, TraceVerdict } from './verdict.ts';

/** Number of bytes that all files of a capture are read at once. */
const CHUNKS = 1 << 23;
const [LEAST, MOST] = [1 << 14, 1 << 20];

/**
 * Judges the trace in `file` (`-` is standard input): text, plain or gzipped, or a file of
 * trace-cmd or perf, if that tool is installed. Several files are parts of one capture, which are
 * merged by time. Calls `progress` after each piece that is read. `signal` ends the trace early.
 *
 * @throws InputError if a file cannot be read, or the trace has no event, or none of the VM in
 *   `options`
 */
export async function judgeTraceFile(
  file: string | readonly string[],
  options: TraceOptions,
  progress: (judge: TraceJudge) => void = () => {},
  signal?: AbortSignal,
): Promise<TraceVerdict> {
  const judge = new TraceJudge(options);
  const files = typeof file === 'string' ? [file] : file;
  // every file listens to it
  if (signal !== undefined) setMaxListeners(files.length + 1, signal);
  const reading = {
    ...(signal !== undefined && { signal }),
    chunk: Math.min(MOST, Math.max(LEAST, Math.floor(CHUNKS / files.length))),
    onDamage: (why: string): void => {
      judge.reading.damaged = why;
    },
  };
  const texts = files.map((name) => readText(name, reading));
  const [text, ...more] = texts;
  const onLine = (bytes: Uint8Array, from: number, to: number): void => judge.line(bytes, from, to);
  if (text === undefined || more.length > 0)
    judge.reading.cut = await mergeLines(texts, onLine, () => progress(judge));
  else {
    const lines = new LineSplitter(onLine);
    for await (const chunk of text) {
      lines.push(chunk);
      progress(judge);
    }
    judge.reading.cut = lines.end();
  }
  const verdict = judge.end();
  check(files.join(' '), verdict, options);
  return verdict;
}

/** @throws InputError if the trace has no event, or none of the VM in `options` */
function check(where: string, { events, vms }: TraceVerdict, { vm }: TraceOptions): void {
  if (events === 0) {
    throw new InputError(
      where,
      'no event of a trace in it',
      'give the text of the file `trace` in tracefs, of trace-cmd report or of perf script',
    );
  }
  if (vm !== undefined && !vms.includes(vm)) {
    const advice = `--vm takes one of ${vms.join(', ') || 'none'}`;
    throw new InputError(where, `no event of VM ${vm}`, advice);
  }
}
