/** Generates sequential scenarios: one TD is built, run and torn down; another one does nothing. */
import type { SequentialConfig } from '../format/config.ts';
import type { Universes } from '../universe/universe.ts';
import { CallWriter } from './call-writer.ts';
import { OPENING, FRAGMENTS, tearDown } from './entry-fragments.ts';
import { MODULE_NAME, Recorder, type GeneratedScenario } from './record.ts';
import { withRng, type Rng } from './rng.ts';
import type { Pools } from './td-view.ts';

const pages = (first: number, count: number, bytes: number): string[] =>
  Array.from({ length: count }, (_, i) => `0x${(first + i * bytes).toString(16)}`);

export const POOLS: Pools = {
  small: [...pages(0x100200000, 16, 0x1000), ...pages(0x100400000, 8, 0x1000)],
  large: pages(0x100800000, 8, 0x200000),
  huge: '0x140000000',
};

/**
 * Draws the platform: whether the TD has five levels, a wide GPA, a debugger, #VE for pending
 * pages.
 */
export function configOf(rng: Rng): SequentialConfig {
  const septLevels = rng.percent(15) ? 5 : 4;
  const config = {
    module: MODULE_NAME,
    septLevels,
    gpaw: septLevels === 5 && rng.percent(50) ? 1 : 0,
    debug: rng.percent(50) ? 1 : 0,
    septVeDisable: rng.percent(70) ? 1 : 0,
    numL2Vms: 0,
    tdmr: { base: '0x100000000', size: '0x100000000' },
    hkidBits: [46, 51],
    maxPa: 52,
    tds: [
      {
        td: 0,
        tdr: '0x100000000',
        tdcx: ['0x100001000', 6],
        septRoot: '0x100004000',
        hkid: 34,
        tdvpr: ['0x100010000', '0x100020000', '0x100030000'].slice(0, 2 + rng.below(2)),
      },
      {
        td: 1,
        tdr: '0x100080000',
        tdcx: ['0x100081000', 6],
        septRoot: '0x100084000',
        hkid: 35,
        tdvpr: ['0x100090000', '0x1000a0000'],
      },
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
export const sequentialScenario = (seed: number, universes: Universes): GeneratedScenario =>
  withRng(seed, (rng) => {
    const config = configOf(rng);
    const recorder = new Recorder(config, universes);
    const writer = new CallWriter(recorder, rng, config, POOLS);
    const length = SHORTEST + rng.below(LONGEST - SHORTEST);
    for (const fragment of OPENING) fragment(writer);
    while (recorder.length < length && !recorder.halted) rng.weighted(FRAGMENTS)(writer);
    if (rng.percent(40)) tearDown(writer);
    return recorder.finish(`own-seq-${seed}`, seed);
  });
