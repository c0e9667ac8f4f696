/** Writes runs to files, as traces of a kernel. */
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { EngineOptions } from '../properties/checker/engine.ts';
import type { Scenario } from '../properties/checker/scenarios/scenario.ts';
import { formatScenario } from '../properties/checker/scenarios/text.ts';
import { whyUnseen } from '../properties/traces/blind-spots.ts';
import { Emitter } from '../properties/traces/emit/emit.ts';
import type { Violation } from '../spec/machine/rule.ts';
import { UsageError } from './errors.ts';
import { warn } from './output.ts';

/** Checks, before anything runs, that a trace can be written to `file`. @throws UsageError */
export function assertWritable(file: string | undefined): void {
  if (file === undefined) return;
  const folder = dirname(file);
  if (!existsSync(folder)) throw new UsageError(`${file}: no folder ${folder}; create it first`);
  if (existsSync(file) && statSync(file).isDirectory())
    throw new UsageError(`${file}: is a folder; name a file`);
}

/**
 * Runs `scenario` once more, to its end, and writes its trace to `file`. Prints why the trace does
 * not show `violation`, if so.
 *
 * @throws UsageError if the file cannot be written; it is then unchanged.
 */
export function writeTrace(
  file: string,
  options: EngineOptions,
  scenario: Scenario,
  violation: Violation | null,
): void {
  const { lines } = new Emitter({ ...options, rules: false }).emit(scenario);
  const text = `${lines.join('\n')}\n`;
  write(file, file.endsWith('.gz') ? gzipSync(text) : Buffer.from(text));
  warn(`${file}: ${lines.length} lines, of the scenario '${formatScenario(scenario)}'`);
  const why = violation === null ? null : whyUnseen(violation);
  if (why !== null) warn(`${file}: sept trace will not name ${violation?.rule}: ${why}`);
}

/** Writes the whole file or nothing. */
function write(file: string, bytes: Uint8Array): void {
  let temporary: string | null = null;
  try {
    temporary = mkdtempSync(join(dirname(file), '.sept-'));
    const whole = join(temporary, 'trace');
    writeFileSync(whole, bytes);
    renameSync(whole, file);
  } catch (error) {
    throw new UsageError(
      `${file}: cannot be written: ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
  }
}
