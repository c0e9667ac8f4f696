/** Raw SPTEs, as two signed halves, by what a judge has to tell apart. */
import type { Halves } from '../../../spec/kvm/layouts/halves.ts';
import { MMU_PRESENT, type SpteLayout } from '../../../spec/kvm/layouts/layout.ts';

export const EMPTY = 0;
export const FROZEN = 1;
/** Not present to KVM, though something: a recipe for emulation. */
export const MMIO = 2;
export const TABLE = 3;
export const LEAF = 4;
export type Kind = typeof EMPTY | typeof FROZEN | typeof MMIO | typeof TABLE | typeof LEAF;

export const ENTRIES = 512;
const INDEX_BITS = 9;
/** The level of entries that map 4 KiB. */
export const LEAF_LEVEL = 1;

/** @param level of the table that the entry is in, 1 to 5. */
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

/** Bits 51:12. */
export const frameOf = (hi: number, lo: number): number => (hi & 0xf_ffff) * 2 ** 20 + (lo >>> 12);

export const has = ({ hi, lo }: Halves, valueHi: number, valueLo: number): boolean =>
  ((valueHi & hi) | (valueLo & lo)) !== 0;

/** GFNs that an entry at `level` is about. */
export const pagesAt = (level: number): number => 2 ** (INDEX_BITS * (level - 1));

export const indexOf = (gfn: number, level: number): number =>
  Math.floor(gfn / pagesAt(level)) % ENTRIES;

/** As tracepoints print them. */
export const hexOf = (hi: number, lo: number): string =>
  (hi === 0 ? '' : (hi >>> 0).toString(16)) +
  (hi === 0 ? (lo >>> 0).toString(16) : (lo >>> 0).toString(16).padStart(8, '0'));
