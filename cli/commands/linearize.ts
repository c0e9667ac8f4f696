/**
 * `sept linearize FILE...`: judges histories of a register or a key-value store, in the text
 * formats of porcupine's example histories.
 */
import { Command, Option } from 'commander';
import { check } from '../../properties/linearizability/check.ts';
import { readKeyValueHistory, readRegisterLog } from '../../properties/linearizability/formats.ts';
import {
  describe as describeKeyValueOp,
  KEY_VALUE,
} from '../../properties/linearizability/key-value.ts';
import {
  describe as describeRegisterOp,
  REGISTER,
} from '../../properties/linearizability/register.ts';
import {
  DEFAULT_LIMITS,
  type Limits,
  type Specification,
  type Timed,
} from '../../properties/linearizability/specification.ts';
import { EXIT_CLEAN, EXIT_FINDINGS } from '../errors.ts';
import { deadline, jsonOption, timeOption, type SharedOptions } from '../options.ts';
import { print, printJson } from '../output.ts';

interface Options extends Pick<SharedOptions, 'json' | 'time'> {
  readonly model: 'register' | 'kv';
}

interface Linearized {
  readonly file: string;
  readonly operations: number;
  readonly verdict: 'explained' | 'unexplained' | 'unknown';
  /** The operation that no order explains and why, or the limit reached; null when explained. */
  readonly why: string | null;
  readonly ms: number;
}

/** Reads a file and judges it, by model. */
const MODELS: Readonly<
  Record<Options['model'], (file: string, limits: Limits) => Promise<Linearized>>
> = {
  register: judge(REGISTER, readRegisterLog, describeRegisterOp),
  kv: judge(KEY_VALUE, readKeyValueHistory, describeKeyValueOp),
};

/** The command. It calls `exit` with the exit status. */
export const linearizeCommand = (exit: (code: number) => void): Command =>
  new Command('linearize')
    .description('judge histories of a register or a key-value store, in the formats of porcupine')
    .argument('<file...>', 'histories, plain or gzipped')
    .addOption(
      new Option('--model <name>', 'the object that the history is of')
        .choices(Object.keys(MODELS))
        .makeOptionMandatory(),
    )
    .addOption(jsonOption())
    .addOption(timeOption())
    .addHelpText(
      'after',
      `
register: logs of Jepsen (read, write, cas); kv: one record a line (get, put, append).
--time limits each file.
Exit code: 0 all explained, 1 one or more not explained or not decided in time, 2 unusable input.`,
    )
    .action(async (files: string[], { model, json, time }: Options) => {
      const results: Linearized[] = [];
      for (const file of files) {
        // oxlint-disable-next-line no-await-in-loop -- one file at a time is held in memory
        results.push(await MODELS[model](file, limitsOf(time)));
      }
      if (json === true) printJson({ results });
      else printResults(results);
      exit(results.every(({ verdict }) => verdict === 'explained') ? EXIT_CLEAN : EXIT_FINDINGS);
    });

function judge<State, Op extends Timed>(
  spec: Specification<State, Op>,
  read: (file: string) => Promise<Op[]>,
  describe: (op: Op) => string,
): (file: string, limits: Limits) => Promise<Linearized> {
  return async (file, limits) => {
    const ops = await read(file);
    const start = performance.now();
    const outcome = check(spec, ops, limits);
    const ms = Math.round((performance.now() - start) * 1000) / 1000;
    const judged = { file, operations: ops.length, verdict: outcome.verdict, ms };
    if (outcome.verdict === 'explained') return { ...judged, why: null };
    if (outcome.verdict === 'unknown') return { ...judged, why: outcome.why };
    const { op, refusals, prefix } = outcome.failure;
    const what = op === null ? 'the end' : `line ${op.invoked}, ${describe(op)}`;
    return {
      ...judged,
      why: `${what}: ${refusals.join('; or ')} (${prefix.length} operations show it)`,
    };
  };
}

function limitsOf(time: number | undefined): Limits {
  if (time === undefined) return DEFAULT_LIMITS;
  return { ...DEFAULT_LIMITS, steps: Infinity, expired: deadline(time) };
}

function printResults(results: readonly Linearized[]): void {
  for (const { file, operations, verdict, why, ms } of results) {
    print(`${file}: ${verdict}, ${operations} operations, ${ms} ms`);
    if (why !== null) print(`  ${why}`);
  }
}
