/** Traces in files: of any size, in the memory of what they tell of. */
import { readBytes } from '../files/bytes.ts';
import { InputError } from '../files/input.ts';
import { TraceJudge } from './judge.ts';
import { LineSplitter } from './reader/lines.ts';
import type { TraceOptions, TraceVerdict } from './verdict.ts';

/**
 * Judges the trace in `file` (`-` is standard input), plain or gzipped; `progress` hears of it once
 * for each piece that was read. Throws an InputError when it cannot be read, holds no event, or
 * nothing of the VM that was asked for.
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
      'no event of ftrace in it',
      'give the text that the file `trace` of tracefs has',
    );
  }
  if (options.vm !== undefined && !verdict.vms.includes(options.vm)) {
    throw new InputError(
      file,
      `nothing of a VM ${options.vm}`,
      `--vm takes one of ${verdict.vms.join(', ') || 'none'}`,
    );
  }
  return verdict;
}
