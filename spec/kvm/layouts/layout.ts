/** What a layout of 64-bit SPTEs consists of: which bits say what, and how that is known. */
import { halvesOf, union, type Halves } from './halves.ts';

/**
 * `recorded`: SPTEs of a running kernel have it. `source`: read in the kernel's source, not
 * observed.
 */
export type Evidence = 'recorded' | 'source';

/** Some bits of an SPTE. */
export interface Bits extends Halves {
  readonly evidence: Evidence;
}

export const recorded = (word: bigint): Bits => ({ ...halvesOf(word), evidence: 'recorded' });
export const fromSource = (word: bigint): Bits => ({ ...halvesOf(word), evidence: 'source' });
/** The layout has no such bit. */
export const ABSENT: Bits = fromSource(0n);

/** The permissions that access tracking takes away and saves; W it takes away and does not save. */
export interface Permissions {
  readonly readable: Bits;
  readonly executable: Bits;
  readonly userExecutable: Bits;
}

/** An MMIO SPTE: `value` in the bits `mask`, and the rest of it. Source: spte.c, make_mmio_spte. */
export interface MmioLayout {
  readonly mask: Bits;
  readonly value: Bits;
  /** Which of the guest's permissions are kept. */
  readonly access: Bits;
  /** The generation's low bits, from bit 3 on. */
  readonly generationLow: Bits;
  readonly generationLowBits: number;
  /** The generation's further bits, 62:52. */
  readonly generationHigh: Bits;
}

/** A row of the table. */
export interface LayoutRow {
  readonly empty: Bits;
  readonly frozen: Bits;
  /** What every present SPTE has beside MMU_PRESENT. */
  readonly always: Bits;
  /** Bits that say the opposite of the field that they are listed under: NX. */
  readonly inverted: Bits;
  readonly granted: Permissions;
  readonly saved: Permissions;
  readonly writable: Bits;
  readonly user: Bits;
  readonly accessed: Bits;
  readonly dirty: Bits;
  readonly hostWritable: Bits;
  readonly mmuWritable: Bits;
  readonly large: Bits;
  /** Two adjacent bits of the upper half, or absent. */
  readonly adType: Bits;
  readonly memoryType: Bits;
  readonly ignorePat: Bits;
  readonly mmio: MmioLayout;
}

/** A row, and what follows from it: which bits may be set at all, inverted ones turned round. */
export interface SpteLayout extends LayoutRow {
  readonly leafBits: Halves;
  readonly tableBits: Halves;
  readonly mmioBits: Halves;
  /** The same for a leaf that is access-tracked, */
  readonly trackedBits: Halves;
  /** which has none of these. */
  readonly trackedClear: Halves;
  /** Which say whether a leaf may be executed, tracked or not. */
  readonly toExecute: Halves;
  /** Number of the lower type bit in the upper half. */
  readonly adTypeShift: number;
}

/**
 * Present to the MMU, whatever the hardware thinks. Source: spte.h, SPTE_MMU_PRESENT_MASK; all
 * recordings.
 */
export const MMU_PRESENT = 1 << 11;
/** Bits 51:12 of the word: the page frame number, or an MMIO SPTE's GFN. */
export const PFN: Halves = halvesOf(0x000f_ffff_ffff_f000n);

/** Where a generation's low bits begin in the lower half, and its further bits in the upper one. */
export const GENERATION_LOW_SHIFT = 3;
export const GENERATION_HIGH_SHIFT = 20;
export const MEMORY_TYPE_SHIFT = 3;

export function layout(row: LayoutRow): SpteLayout {
  const { granted, saved, mmio } = row;
  const permissions = [granted.readable, granted.executable, granted.userExecutable, row.writable];
  const present = [
    { hi: 0, lo: MMU_PRESENT },
    row.always,
    PFN,
    ...permissions,
    row.user,
    row.accessed,
    row.adType,
  ];
  const leafBits = union([
    ...present,
    row.large,
    row.dirty,
    row.hostWritable,
    row.mmuWritable,
    row.memoryType,
    row.ignorePat,
  ]);
  return {
    ...row,
    leafBits,
    tableBits: union(present),
    mmioBits: union([PFN, mmio.value, mmio.access, mmio.generationLow, mmio.generationHigh]),
    trackedClear: union(permissions),
    trackedBits: union([leafBits, saved.readable, saved.executable, saved.userExecutable]),
    toExecute: union([
      granted.executable,
      granted.userExecutable,
      saved.executable,
      saved.userExecutable,
    ]),
    adTypeShift: Math.max(30 - Math.clz32(row.adType.hi), 0),
  };
}
