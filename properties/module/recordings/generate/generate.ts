/** The generated recordings, as files with their text. Equal seeds give equal text. */
import { hugePagesV5, upstream616, upstream7 } from '../../../../impl/index.ts';
import b03 from '../../../../impl/mutants/b-03-flush-overwritten.ts';
import b11 from '../../../../impl/mutants/b-11-notifier-skips-invalid-roots.ts';
import b46 from '../../../../impl/mutants/b-46-parent-blocked-first.ts';
import type { Policy } from '../../../../impl/vm/policy.ts';
import { versionData, type ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import { parseScenario } from '../../../checker/scenarios/text.ts';
import { Emitter } from '../../../traces/emit/emit.ts';
import { Universes } from '../universe/universe.ts';
import { conflictCells, exchangeLines, lifecycleCells, stepLines, type Request } from './cells.ts';
import { concurrentHistory } from './concurrent.ts';
import { lifecycleScenario } from './lifecycle.ts';
import { lockRows } from './record-locks.ts';
import { moduleNameOf } from './record.ts';
import { sequentialScenario } from './sequential.ts';
import { SHIPPED, type Seeds, type Shipped } from './shipped.ts';

const METHOD =
  'X runs alone up to its last successful lock acquisition; Y then runs to its end; X goes on. ' +
  'xAlone and yAlone: the same state and operands without the other call. ' +
  'blockedByX: yStatus differs from yAlone.';

const LOCKS =
  'Each call runs alone. busy: its answer if exactly that lock is held when it begins, ' +
  'exclusively or by one reader.';

const lines = (values: Iterable<unknown>): string =>
  [...values].map((value) => `${JSON.stringify(value)}\n`).join('');

/** One object with a list, of which each item has a line. */
const document = (
  version: ModuleVersion,
  method: string,
  list: string,
  items: readonly unknown[],
): string => {
  const rows = items.map((item) => JSON.stringify(item)).join(',\n');
  const module = JSON.stringify(moduleNameOf(version));
  return `{"module":${module},"method":${JSON.stringify(method)},\n"${list}":[\n${rows}\n]}\n`;
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

/** All scenarios share a platform, which takes longer to build than to use. */
const scenarios = <T>(
  seeds: readonly number[],
  version: ModuleVersion,
  scenario: (seed: number, universes: Universes, version: ModuleVersion) => T,
): string => {
  const universes = new Universes();
  return lines(seeds.map((seed) => scenario(seed, universes, version)));
};

/** A kind of recording. Only recorders of the named family have made some of them. */
interface Kind {
  readonly name: string;
  readonly make: (module: Shipped, seeds: Seeds) => string;
  readonly family?: string;
}

const requestOf = (module: Shipped, { pairs }: Seeds): Request => ({ ...module, seed: pairs });

const KINDS: readonly Kind[] = [
  {
    name: 'sequential.jsonl.gz',
    make: ({ version }, seeds) => scenarios(seeds.sequential, version, sequentialScenario),
  },
  {
    name: 'lifecycle.jsonl.gz',
    make: ({ version }, seeds) => scenarios(seeds.lifecycle, version, lifecycleScenario),
  },
  {
    name: 'concurrent.jsonl.gz',
    make: ({ version }, seeds) => scenarios(seeds.concurrent, version, concurrentHistory),
  },
  {
    name: 'conflicts.json',
    make: (module, seeds) =>
      document(module.version, METHOD, 'results', conflictCells(requestOf(module, seeds))),
  },
  {
    name: 'lifecycle-conflicts.json',
    make: (module, seeds) =>
      document(module.version, METHOD, 'results', lifecycleCells(requestOf(module, seeds))),
  },
  {
    name: 'stepwise.jsonl.gz',
    make: (module, seeds) => lines(stepLines(requestOf(module, seeds))),
  },
  {
    name: 'stepwise-cas.jsonl.gz',
    make: (module, seeds) => lines(exchangeLines(requestOf(module, seeds))),
    family: '1.0',
  },
  {
    name: 'locks.json.gz',
    make: ({ version }) => document(version, LOCKS, 'functions', lockRows(version)),
  },
];

/** `seeds`: other ones than those of the shipped recordings. */
type File = readonly [name: string, make: (seeds?: Seeds) => string];

const filesOf = (module: Shipped): File[] =>
  KINDS.filter(({ family }) =>
    [undefined, versionData(module.version).family].includes(family),
  ).map(({ name, make }) => [
    module.folder + (name.endsWith('.json') ? name + module.suffix : name),
    (seeds = module.seeds) => make(module, seeds),
  ]);

/** The files by name. Write those that end in `.gz` compressed. */
export const GENERATED_FILES: readonly File[] = [
  ...SHIPPED.flatMap(filesOf),
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
