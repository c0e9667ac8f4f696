/** Raw SPTEs, as two signed halves of 32 bits, and the kinds that rules distinguish. */
import type { Halves } from '../../../spec/kvm/layouts/halves.ts';
import { MMU_PRESENT, type SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { sizeAt } from '../../../spec/machine/levels.ts';

export const EMPTY = 0;
export const FROZEN = 1;
/** Not present, with a value: access is emulated. */
export const MMIO = 2;
export const TABLE = 3;
export const LEAF = 4;
export type Kind = typeof EMPTY | typeof FROZEN | typeof MMIO | typeof TABLE | typeof LEAF;

export const ENTRIES = 512;
const INDEX_BITS = 9;
/** Level of entries that map 4K. */
export const LEAF_LEVEL = 1;

/** Kind of an entry at `level`, 1 to 5. */
export function kindOf(
  { frozen, empty, large }: SpteLayout,
  level: number,
  hi: number,
  lo: number,
): Kind {
  if ((lo & MMU_PRESENT) !== 0) return level === LEAF_LEVEL || (lo & large.lo) !== 0 ? LEAF : TABLE;
  if (lo === frozen.lo && hi === frozen.hi) return FROZEN;
  return lo === empty.lo && hi === empty.hi ? EMPTY : MMIO;
}

export const isPresent = (kind: Kind): boolean => kind >= TABLE;

/** Frame that an entry points to: bits 51:12. */
export const frameOf = (hi: number, lo: number): number => (hi & 0xf_ffff) * 2 ** 20 + (lo >>> 12);

/** Whether a value has any of the bits. */
export const has = ({ hi, lo }: Halves, valueHi: number, valueLo: number): boolean =>
  ((valueHi & hi) | (valueLo & lo)) !== 0;

/** Number of GFNs that an entry at `level` covers. */
export const pagesAt = (level: number): number => 2 ** (INDEX_BITS * (level - 1));

export const indexOf = (gfn: number, level: number): number =>
  Math.floor(gfn / pagesAt(level)) % ENTRIES;

/** Name of an entry in violations, e.g. `GFN 0x13a0 at 4K`. Traces count levels from 1. */
export const entryName = (gfn: number, level: number): string =>
  `GFN 0x${gfn.toString(16)} at ${sizeAt(level - 1)}`;

/** Text of a value, as tracepoints print it. */
export const hexOf = (hi: number, lo: number): string =>
  (hi === 0 ? '' : (hi >>> 0).toString(16)) +
  (hi === 0 ? (lo >>> 0).toString(16) : (lo >>> 0).toString(16).padStart(8, '0'));
