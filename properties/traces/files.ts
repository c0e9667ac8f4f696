/** Traces in files. Memory depends on the VMs in a trace, not on its size. */
import { readBytes } from '../files/bytes.ts';
import { InputError } from '../files/input.ts';
import { TraceJudge } from './judge.ts';
import { LineSplitter } from './reader/lines.ts';
import type { TraceOptions, TraceVerdict } from './verdict.ts';

/**
 * Judges the trace in `file` (`-` is standard input), plain or gzipped, and calls `progress` after
 * each piece that is read.
 *
 * @throws InputError if the file cannot be read, has no event, or has no event of the VM in
 *   `options`.
 */
export async function judgeTraceFile(
  file: string,
  options: TraceOptions,
  progress: (judge: TraceJudge) => void = () => {},
): Promise<TraceVerdict> {
  const judge = new TraceJudge(options);
  const lines = new LineSplitter((bytes, from, to) => judge.line(bytes, from, to));
  for await (const chunk of readBytes(file)) {
    lines.push(chunk);
    progress(judge);
  }
  lines.end();
  const verdict = judge.end();
  if (verdict.events === 0) {
    throw new InputError(
      file,
      'no ftrace event in it',
      'give the text of the file `trace` in tracefs',
    );
  }
  if (options.vm !== undefined && !verdict.vms.includes(options.vm)) {
    throw new InputError(
      file,
      `no event of VM ${options.vm}`,
      `--vm takes one of ${verdict.vms.join(', ') || 'none'}`,
    );
  }
  return verdict;
}
