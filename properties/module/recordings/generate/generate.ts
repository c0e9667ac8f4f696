/** The generated recordings, as files with their text. Equal seeds give equal text. */
import { hugePagesV5, upstream616, upstream7 } from '../../../../impl/index.ts';
import b03 from '../../../../impl/mutants/b-03-flush-overwritten.ts';
import b11 from '../../../../impl/mutants/b-11-notifier-skips-invalid-roots.ts';
import b46 from '../../../../impl/mutants/b-46-parent-blocked-first.ts';
import type { Policy } from '../../../../impl/vm/policy.ts';
import { parseScenario } from '../../../checker/scenarios/text.ts';
import { Emitter } from '../../../traces/emit/emit.ts';
import { Universes } from '../universe/universe.ts';
import { conflictCells, lifecycleCells, stepLines } from './cells.ts';
import { concurrentHistory } from './concurrent.ts';
import { lifecycleScenario } from './lifecycle.ts';
import { MODULE_NAME } from './record.ts';
import { sequentialScenario } from './sequential.ts';

/** Seeds of the scenarios, and the seed of the pair recordings. */
export interface Seeds {
  readonly sequential: readonly number[];
  readonly lifecycle: readonly number[];
  readonly concurrent: readonly number[];
  readonly pairs: number;
}

/**
 * The seeds of the shipped recordings: those below 400 whose scenarios together lead to the most
 * combinations of operation, status, operand and kind of result.
 */
export const SHIPPED_SEEDS: Seeds = {
  sequential: [
    9, 19, 20, 31, 38, 55, 56, 57, 61, 64, 67, 68, 83, 88, 104, 112, 120, 126, 129, 149, 154, 159,
    162, 174, 178, 186, 198, 203, 222, 234, 235, 240, 257, 324, 327, 332, 362, 380, 383, 399,
  ],
  lifecycle: [
    20, 64, 76, 92, 141, 147, 160, 181, 224, 238, 264, 301, 309, 322, 327, 347, 351, 364, 381, 394,
  ],
  // the first whose histories show no known finding, and in which locks refuse three calls or more
  concurrent: [
    0, 8, 9, 10, 11, 12, 16, 19, 28, 32, 33, 34, 35, 37, 39, 40, 41, 42, 43, 51, 52, 55, 56, 58,
  ],
  pairs: 1,
};

const METHOD =
  'X runs alone up to its last successful lock acquisition; Y then runs to its end; X goes on. ' +
  'xAlone and yAlone: the same state and operands without the other call. ' +
  'blockedByX: yStatus differs from yAlone.';

const lines = (values: Iterable<unknown>): string =>
  [...values].map((value) => `${JSON.stringify(value)}\n`).join('');

/** One object, with a result on each line. */
const results = (cells: readonly unknown[]): string => {
  const rows = cells.map((cell) => JSON.stringify(cell)).join(',\n');
  const head = `{"module":${JSON.stringify(MODULE_NAME)},"method":${JSON.stringify(METHOD)}`;
  return `${head},\n"results":[\n${rows}\n]}\n`;
};

/**
 * Traces of TDs, as a TDX host emits them: BUSY, a kick and a retry; a split; a table removed too
 * early. Traces of ordinary VMs on EPT: faults, aging and dirty logging in all address spaces; a
 * notifier that skips invalid roots; a missing flush.
 */
const GENERATED_TRACES: readonly (readonly [name: string, policy: Policy, scenario: string])[] = [
  [
    'tdx-busy',
    upstream616,
    'v0: accept-huge 0; accept 0 | h0: unmap 0 | v1: accept-huge 0 | ' +
      '@v1.0.34>1 @v0.1.0>2 @v0.0.37>1',
  ],
  ['tdx-split', hugePagesV5, 'v0: accept-huge 0; touch 1 | h0: unmap 0; unmap 0+2'],
  ['tdx-bug-parent-blocked-first', b46.policy, 'v0: read 0 | h0: remove-table 0'],
  [
    'vm-logged',
    upstream7,
    'vm | v0: touch 0; nested-touch 0; read 2 | v1: smm-touch 0; exec 4 | ' +
      'h0: log 0; age 0+2; collect 0; unlog 0 | h1: unmap 0+2; recover-nx 0; zap-all 0 | ' +
      '@v0.0.40>2 @h0.1.9>1',
  ],
  [
    'vm-bug-notifier-skips-invalid-roots',
    b11.policy,
    'vm | v0: touch 0 | h0: delete-slot 0 | h1: unmap 0 | @h0.0.0?1',
  ],
  ['vm-bug-flush-overwritten', b03.policy, 'vm | v0: smm-exec 0 | h0: recover-nx 0'],
];

type File = readonly [name: string, make: (seeds: Seeds) => string];

/** All scenarios share a platform, which takes longer to build than to use. */
const scenarios = (
  seeds: readonly number[],
  scenario: (seed: number, universes: Universes) => unknown,
): string => {
  const universes = new Universes();
  return lines(seeds.map((seed) => scenario(seed, universes)));
};

/** The files by name. Write those that end in `.gz` compressed. */
export const GENERATED_FILES: readonly File[] = [
  ['sequential.jsonl.gz', ({ sequential }) => scenarios(sequential, sequentialScenario)],
  ['lifecycle.jsonl.gz', ({ lifecycle }) => scenarios(lifecycle, lifecycleScenario)],
  ['concurrent.jsonl.gz', ({ concurrent }) => scenarios(concurrent, concurrentHistory)],
  ['conflicts.json', ({ pairs }) => results(conflictCells(pairs))],
  ['lifecycle-conflicts.json', ({ pairs }) => results(lifecycleCells(pairs))],
  ['stepwise.jsonl.gz', ({ pairs }) => lines(stepLines(pairs))],
  ...GENERATED_TRACES.map(([name, policy, scenario]): File => [
    `traces/${name}.trace.gz`,
    () => emitted(policy, scenario),
  ]),
];

/** The trace of a run, as `sept show --emit-trace` writes it. */
function emitted(policy: Policy, scenario: string): string {
  const emitter = new Emitter({ policy, module: '1.5', rules: false });
  return `${emitter.emit(parseScenario(scenario)).lines.join('\n')}\n`;
}
