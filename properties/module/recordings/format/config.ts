/**
 * The `config` of a recording: the platform, and the pages of its TDs. Sequential and life-cycle
 * recordings differ.
 */
import * as v from 'valibot';
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { count, hex, pair } from './values.ts';

const PAGE = BigInt(PAGE_BYTES);
const GIB = 1n << 30n;
/** Largest TDMR. A table of all its pages is built, so this limits memory. */
const MAX_TDMR = 16n * GIB;
/** Bytes of the pages that may follow a TDVPR or the first TDCX page. */
const ROOM = 16n * PAGE;

const tdmr = v.pipe(
  v.object({ base: hex, size: hex }),
  v.check(
    ({ base }) => BigInt(base) % GIB === 0n && BigInt(base) < 1n << 46n,
    'base is not a GiB below 2^46',
  ),
  v.check(
    ({ size }) => BigInt(size) % GIB === 0n && BigInt(size) > 0n && BigInt(size) <= MAX_TDMR,
    'size is not 1 to 16 GiB',
  ),
);
const platform = {
  /** The module that was recorded, e.g. `TDX 1.5.05`. */
  module: v.optional(v.string()),
  tdmr,
  hkidBits: v.pipe(
    pair,
    v.check(([first, last]) => first >= 40 && first <= last && last <= 51, 'not bits 40 to 51'),
  ),
  reservedPage: hex,
};

interface PlatformPages {
  readonly tdmr: { readonly base: string; readonly size: string };
  readonly reservedPage: string;
}

/** All pages are inside the TDMR. */
function fits(
  { tdmr: { base, size }, reservedPage }: PlatformPages,
  pages: readonly string[],
): boolean {
  const first = BigInt(base);
  const last = first + BigInt(size) - PAGE;
  const inside = (hpa: bigint): boolean => hpa >= first && hpa <= last && hpa % PAGE === 0n;
  return (
    inside(BigInt(reservedPage)) &&
    pages.every((hpa) => inside(BigInt(hpa)) && inside(BigInt(hpa) + ROOM))
  );
}

const DOES_NOT_FIT = 'names a page outside the TDMR';

/** TDs that the recorder initialised directly, in the state that the life-cycle functions leave. */
export const sequentialConfig = v.pipe(
  v.object({
    ...platform,
    septLevels: v.picklist([4, 5]),
    gpaw: v.picklist([0, 1]),
    debug: v.picklist([0, 1]),
    septVeDisable: v.picklist([0, 1]),
    tds: v.array(
      v.object({
        td: count,
        tdr: hex,
        tdcx: v.strictTuple([hex, v.pipe(count, v.maxValue(9))]),
        septRoot: hex,
        hkid: v.pipe(count, v.minValue(33), v.maxValue(63)),
        tdvpr: v.array(hex),
      }),
    ),
  }),
  v.check(
    (config) =>
      fits(
        config,
        config.tds.flatMap((td) => [td.tdr, td.tdcx[0], td.septRoot, ...td.tdvpr]),
      ),
    DOES_NOT_FIT,
  ),
);

/** An empty platform. */
export const lifecycleConfig = v.pipe(
  v.object({
    ...platform,
    packages: v.pipe(count, v.minValue(1), v.maxValue(8)),
    privateHkids: v.pipe(
      pair,
      v.check(([first, last]) => first <= last && last < 64, 'not a range of HKIDs below 64'),
    ),
    cachedSubBlocks: v.pipe(count, v.minValue(1), v.maxValue(64)),
    tdSlots: v.array(v.object({ td: count, tdr: hex, tdcx: hex, tdvpr: v.array(hex) })),
  }),
  v.check(
    (config) =>
      fits(
        config,
        config.tdSlots.flatMap((td) => [td.tdr, td.tdcx, ...td.tdvpr]),
      ),
    DOES_NOT_FIT,
  ),
);

export type SequentialConfig = v.InferOutput<typeof sequentialConfig>;
export type LifecycleConfig = v.InferOutput<typeof lifecycleConfig>;
export type Config = SequentialConfig | LifecycleConfig;

export const isSequential = (config: Config): config is SequentialConfig => 'tds' in config;
