/** Decodes raw SPTEs. */
import { AD_TYPES, NO_SPTE, type SpteFields } from './fields.ts';
import { halvesOf, halvesOfHex, type Halves } from './halves.ts';
import {
  GENERATION_HIGH_SHIFT,
  GENERATION_LOW_SHIFT,
  MEMORY_TYPE_SHIFT,
  MMU_PRESENT,
  PFN,
  type SpteLayout,
} from './layout.ts';

/** Level of the entries that map 4 KiB, and the highest one that may map anything (1 GiB). */
const LEVEL_4K = 1;
const LEVEL_1G = 3;

const FROZEN_SPTE: SpteFields = { ...NO_SPTE, kind: 'frozen' };

const has = (bits: Halves, hi: number, lo: number): boolean =>
  ((hi & bits.hi) | (lo & bits.lo)) !== 0;
const lacks = (bits: Halves, hi: number, lo: number): boolean =>
  ((~hi & bits.hi) | (~lo & bits.lo)) !== 0;
const hasOnly = (bits: Halves, hi: number, lo: number): boolean =>
  ((hi & ~bits.hi) | (lo & ~bits.lo)) === 0;
const is = (word: Halves, hi: number, lo: number): boolean => hi === word.hi && lo === word.lo;

/** The number in bits 51:12; the upper half has 20 of them. */
const frameOf = (hi: number, lo: number): number => (hi & PFN.hi) * 2 ** 20 + (lo >>> 12);

function decodeMmio({ mmio, mmioBits }: SpteLayout, hi: number, lo: number): SpteFields | null {
  if (!is(mmio.value, hi & mmio.mask.hi, lo & mmio.mask.lo) || !hasOnly(mmioBits, hi, lo))
    return null;
  const low = (lo & mmio.generationLow.lo) >>> GENERATION_LOW_SHIFT;
  const high = (hi & mmio.generationHigh.hi) >>> GENERATION_HIGH_SHIFT;
  return {
    ...NO_SPTE,
    kind: 'mmio',
    gfn: frameOf(hi & ~mmio.value.hi, lo),
    generation: low | (high << mmio.generationLowBits),
    access: lo & mmio.access.lo,
  };
}

/** @param hi with inverted bits flipped, as in `lo`. */
function decodeTable(l: SpteLayout, hi: number, lo: number): SpteFields | null {
  const adType = AD_TYPES[(hi & l.adType.hi) >>> l.adTypeShift];
  if (adType === undefined || !hasOnly(l.tableBits, hi, lo)) return null;
  return {
    ...NO_SPTE,
    kind: 'table',
    pfn: frameOf(hi, lo),
    readable: has(l.granted.readable, hi, lo),
    writable: has(l.writable, hi, lo),
    executable: has(l.granted.executable, hi, lo),
    userExecutable: has(l.granted.userExecutable, hi, lo),
    user: has(l.user, hi, lo),
    accessed: has(l.accessed, hi, lo),
    adType,
  };
}

/** @param hi with inverted bits flipped, as in `lo`. */
function decodeLeaf(l: SpteLayout, large: boolean, hi: number, lo: number): SpteFields | null {
  const adType = AD_TYPES[(hi & l.adType.hi) >>> l.adTypeShift];
  const accessTracked = adType === 'disabled' && !has(l.trackedClear, hi, lo);
  const known = accessTracked ? l.trackedBits : l.leafBits;
  if (adType === undefined || !hasOnly(known, hi, lo)) return null;
  const permissions = accessTracked ? l.saved : l.granted;
  return {
    kind: 'leaf',
    pfn: frameOf(hi, lo),
    large,
    readable: has(permissions.readable, hi, lo),
    writable: has(l.writable, hi, lo),
    executable: has(permissions.executable, hi, lo),
    userExecutable: has(permissions.userExecutable, hi, lo),
    user: has(l.user, hi, lo),
    accessed: has(l.accessed, hi, lo),
    dirty: has(l.dirty, hi, lo),
    adType,
    accessTracked,
    hostWritable: has(l.hostWritable, hi, lo),
    mmuWritable: has(l.mmuWritable, hi, lo),
    memoryType: (lo & l.memoryType.lo) >>> MEMORY_TYPE_SHIFT,
    ignorePat: has(l.ignorePat, hi, lo),
    gfn: 0,
    generation: 0,
    access: 0,
  };
}

/**
 * Decodes the SPTE with these halves (signed, as bitwise operators return them) in a table of
 * `level` (1 maps 4 KiB); null when no SPTE of that kernel and level has these bits. The alignment
 * of the PFN is not checked: that is a rule's task.
 */
function decodeHalves(l: SpteLayout, level: number, hi: number, lo: number): SpteFields | null {
  if ((lo & MMU_PRESENT) === 0) {
    if (is(l.empty, hi, lo)) return NO_SPTE;
    return is(l.frozen, hi, lo) ? FROZEN_SPTE : decodeMmio(l, hi, lo);
  }
  if (lacks(l.always, hi, lo)) return null;
  const large = has(l.large, hi, lo);
  const mayBeLarge = level > LEVEL_4K && level <= LEVEL_1G;
  if (large && !mayBeLarge) return null;
  const flipped = hi ^ l.inverted.hi;
  return large || level === LEVEL_4K
    ? decodeLeaf(l, large, flipped, lo)
    : decodeTable(l, flipped, lo);
}

/** {@link decodeHalves} of a whole SPTE, or of its hexadecimal text in a trace. */
export function decodeSpte(l: SpteLayout, level: number, raw: bigint | string): SpteFields | null {
  const halves = typeof raw === 'bigint' ? halvesOf(raw) : halvesOfHex(raw);
  return halves === null ? null : decodeHalves(l, level, halves.hi, halves.lo);
}
