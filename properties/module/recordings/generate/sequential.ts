/** Generates sequential scenarios: one TD is built, run and torn down; another one does nothing. */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { versionData, type ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import type { SequentialConfig } from '../format/config.ts';
import { CallWriter } from './call-writer.ts';
import { OPENING, FRAGMENTS, tearDown } from './entry-fragments.ts';
import { moduleNameOf, Recorder, type MakeScenario } from './record.ts';
import { withRng, type Rng } from './rng.ts';
import type { Pools } from './td-view.ts';

const pages = (first: number, count: number, bytes: number): string[] =>
  Array.from({ length: count }, (_, i) => `0x${(first + i * bytes).toString(16)}`);

export const POOLS: Pools = {
  small: [...pages(0x100200000, 16, 0x1000), ...pages(0x100400000, 8, 0x1000)],
  large: pages(0x100800000, 8, 0x200000),
  huge: '0x140000000',
};

const td = (
  number: number,
  tdr: number,
  version: ModuleVersion,
  tdvpr: readonly string[],
): SequentialConfig['tds'][number] => {
  const { min, root } = versionData(version).tdcx;
  const at = (page: number): string => `0x${(tdr + page * PAGE_BYTES).toString(16)}`;
  return {
    td: number,
    tdr: at(0),
    tdcx: [at(1), min],
    septRoot: at(1 + root),
    hkid: 34 + number,
    tdvpr: [...tdvpr],
  };
};

/**
 * Draws the platform: whether the TD has five levels, a wide GPA, a debugger, #VE for pending
 * pages.
 */
export function configOf(rng: Rng, version: ModuleVersion): SequentialConfig {
  const septLevels = rng.percent(15) ? 5 : 4;
  const config = {
    module: moduleNameOf(version),
    septLevels,
    gpaw: septLevels === 5 && rng.percent(50) ? 1 : 0,
    debug: rng.percent(50) ? 1 : 0,
    septVeDisable: rng.percent(70) ? 1 : 0,
    numL2Vms: 0,
    tdmr: { base: '0x100000000', size: '0x100000000' },
    hkidBits: [46, 51],
    maxPa: 52,
    tds: [
      td(
        0,
        0x100000000,
        version,
        ['0x100010000', '0x100020000', '0x100030000'].slice(0, 2 + rng.below(2)),
      ),
      td(1, 0x100080000, version, ['0x100090000', '0x1000a0000']),
    ],
    reservedPage: '0x1005ff000',
    pool4k: ['0x100200000', '0x100400000'],
    pool2m: ['0x100800000', 8],
    pool1g: '0x140000000',
  } satisfies SequentialConfig & Record<string, unknown>;
  return config;
}

const SHORTEST = 50;
const LONGEST = 130;

/** The scenario of a seed. */
export const sequentialScenario: MakeScenario = (seed, universes, version) =>
  withRng(seed, (rng) => {
    const config = configOf(rng, version);
    const recorder = new Recorder(config, universes);
    const writer = new CallWriter(recorder, rng, config, POOLS);
    const length = SHORTEST + rng.below(LONGEST - SHORTEST);
    for (const fragment of OPENING) fragment(writer);
    while (recorder.length < length && !recorder.halted) rng.weighted(FRAGMENTS)(writer);
    if (rng.percent(40)) tearDown(writer);
    return recorder.finish(`own-seq-${seed}`, seed);
  });
