/** A layout of 64-bit SPTEs: the meaning of each bit, and the evidence for it. */
import { halvesOf, union, type Halves } from './halves.ts';

/** `recorded`: observed in SPTEs of a running kernel. `source`: only read in its source. */
type Evidence = 'recorded' | 'source';

/** Some bits of an SPTE. */
export interface Bits extends Halves {
  readonly evidence: Evidence;
}

export const recorded = (word: bigint): Bits => ({ ...halvesOf(word), evidence: 'recorded' });
export const fromSource = (word: bigint): Bits => ({ ...halvesOf(word), evidence: 'source' });
/** The layout has no such bit. */
export const ABSENT: Bits = fromSource(0n);

/** Permissions that access tracking clears and saves. (It clears W too, and does not save it.) */
export interface Permissions {
  readonly readable: Bits;
  readonly executable: Bits;
  readonly userExecutable: Bits;
}

/** An MMIO SPTE: `value` under `mask`, and more fields. Source: Linux, spte.c: make_mmio_spte(). */
interface MmioLayout {
  readonly mask: Bits;
  readonly value: Bits;
  /** The guest's permissions that the SPTE contains. */
  readonly access: Bits;
  /** The generation's low bits, from bit 3 on. */
  readonly generationLow: Bits;
  readonly generationLowBits: number;
  /** The generation's further bits, 62:52. */
  readonly generationHigh: Bits;
}

/** A row of the table of layouts. */
export interface LayoutRow {
  readonly empty: Bits;
  readonly frozen: Bits;
  /** Bits that are set in every present SPTE, besides MMU_PRESENT. */
  readonly always: Bits;
  /** Bits with the opposite meaning of the field that lists them: NX. */
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

/** A row, with masks derived from it: the bits that may be set, with `inverted` ones flipped. */
export interface SpteLayout extends LayoutRow {
  readonly leafBits: Halves;
  readonly tableBits: Halves;
  readonly mmioBits: Halves;
  /** Bits that may be set in an access-tracked leaf. */
  readonly trackedBits: Halves;
  /** Bits that are clear in an access-tracked leaf. */
  readonly trackedClear: Halves;
  /** Permissions to execute, of a leaf that is access-tracked or not. */
  readonly toExecute: Halves;
  /** Position of the lower type bit in the upper half. */
  readonly adTypeShift: number;
}

/** Present to the MMU. Source: Linux, spte.h: SPTE_MMU_PRESENT_MASK; measured: all captures. */
export const MMU_PRESENT = 1 << 11;
/** Bits 51:12 of the word: the page frame number, or the GFN of an MMIO SPTE. */
export const PFN: Halves = halvesOf(0x000f_ffff_ffff_f000n);

/** Position of a generation's low bits in the lower half, and of its further bits in the upper. */
export const GENERATION_LOW_SHIFT = 3;
export const GENERATION_HIGH_SHIFT = 20;
export const MEMORY_TYPE_SHIFT = 3;

/** Derives the masks of a row. */
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
