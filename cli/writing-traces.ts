/** Writes runs to files, as traces of a kernel. */
import { gzipSync } from 'node:zlib';
import type { EngineOptions } from '../properties/checker/engine.ts';
import type { Scenario } from '../properties/checker/scenarios/scenario.ts';
import { formatScenario } from '../properties/checker/scenarios/text.ts';
import { whyUnseen } from '../properties/traces/blind-spots.ts';
import { Emitter } from '../properties/traces/emit/emit.ts';
import type { Violation } from '../spec/machine/rule.ts';
import { UsageError } from './errors.ts';
import type { SharedOptions } from './options.ts';
import { assertWritable, isStandardOutput, writeOutput } from './output-file.ts';
import { print, warn } from './output.ts';

/** Checks, before anything runs, that the trace can be written. @throws UsageError */
export function assertTraceable({
  json,
  emitTrace,
}: Pick<SharedOptions, 'json' | 'emitTrace'>): void {
  assertWritable(emitTrace);
  if (json === true && isStandardOutput(emitTrace))
    throw new UsageError('--json and the trace both go to standard output; write one to a file');
}

/**
 * Runs `scenario` once more, to its end, and writes its trace to `file`. Prints why the trace does
 * not show `violation`, if so.
 *
 * @throws UsageError if the file cannot be written; a regular file is then unchanged.
 */
export function writeTrace(
  file: string,
  options: EngineOptions,
  scenario: Scenario,
  violation: Violation | null,
): void {
  const { lines } = new Emitter({ ...options, rules: false }).emit(scenario);
  const text = `${lines.join('\n')}\n`;
  writeOutput(file, file.endsWith('.gz') ? gzipSync(text) : Buffer.from(text));
  warn(`${file}: ${lines.length} lines, of the scenario '${formatScenario(scenario)}'`);
  const why = violation === null ? null : whyUnseen(violation);
  if (why !== null) warn(`${file}: sept trace will not name ${violation?.rule}: ${why}`);
}

/** Prints a line of the report of a run: to stderr, if its trace goes to standard output. */
export const reportBeside = (file: string | undefined): ((line: string) => void) =>
  isStandardOutput(file) ? warn : print;
