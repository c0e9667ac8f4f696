/**
 * SPTE layouts of three kernels on AMD NPT and Intel EPT. A row spreads the row before it, and
 * lists the differences.
 *
 * `recorded`: observed in captures of VMs on Debian's Linux 6.1.192, 6.12.117 and 7.3.4, all of
 * them on NPT. Everything about EPT is `fromSource`: from arch/x86/kvm/mmu/spte.h (the masks),
 * spte.c (kvm_mmu_reset_all_pte_masks() for NPT, kvm_mmu_set_ept_masks() for EPT, make_spte(),
 * make_nonleaf_spte(), make_mmio_spte(), mark_spte_for_access_track()) and
 * arch/x86/include/asm/vmx.h (VMX_EPT_*) of the kernel that the row names. The patches of 2025 for
 * mode-based execution agree with 7.3's where they overlap.
 *
 * The captured machine has less than 52 physical address bits, no memory encryption (with either,
 * NPT's MMIO SPTEs use another reserved bit than 51, or do not exist) and no L1TF (with it, EPT's
 * MMIO SPTEs keep part of the GFN elsewhere). The MMIO value of TDs is not included.
 */
import { ABSENT, fromSource, layout, recorded, type LayoutRow, type SpteLayout } from './layout.ts';

export type KernelVersion = '6.1' | '6.12' | '7.3';
export type Vendor = 'npt' | 'ept';

const NO_PERMISSIONS = { readable: ABSENT, executable: ABSENT, userExecutable: ABSENT };

const NPT_6_1: LayoutRow = {
  empty: recorded(0n),
  // REMOVED_SPTE
  frozen: recorded(0x5a0n),
  // P
  always: recorded(1n << 0n),
  // NX
  inverted: recorded(1n << 63n),
  granted: {
    readable: recorded(1n << 0n),
    executable: recorded(1n << 63n),
    userExecutable: ABSENT,
  },
  saved: NO_PERMISSIONS,
  writable: recorded(1n << 1n),
  user: recorded(1n << 2n),
  accessed: recorded(1n << 5n),
  dirty: recorded(1n << 6n),
  hostWritable: recorded(1n << 9n),
  mmuWritable: recorded(1n << 10n),
  large: recorded(1n << 7n),
  // AMD has A and D bits and no PML: the type bits are always 0, which is `enabled`.
  adType: ABSENT,
  memoryType: ABSENT,
  ignorePat: ABSENT,
  mmio: {
    mask: recorded((1n << 51n) | 1n),
    value: recorded((1n << 51n) | 1n),
    // without the permission to execute, whose bit is P: mark_mmio_spte prints 7, the SPTE has 6
    access: recorded(0x6n),
    // bits 10:3 by the source; captured generations end at 0x62, so bit 10 was not observed
    generationLow: recorded(0x7f8n),
    generationLowBits: 8,
    generationHigh: fromSource(0x7ff0_0000_0000_0000n),
  },
};

const NPT_6_12: LayoutRow = {
  ...NPT_6_1,
  // SHADOW_NONPRESENT_VALUE, also in FROZEN: suppresses #VE on EPT; ignored by NPT without P
  empty: recorded(1n << 63n),
  frozen: recorded(0x8000_0000_0000_05a0n),
};

/** The generation's low bits since bit 10 may be EPT's XU. */
const GENERATION_7_3 = { generationLow: recorded(0x3f8n), generationLowBits: 7 };

const NPT_7_3: LayoutRow = {
  ...NPT_6_12,
  frozen: recorded(0x8000_0000_0000_01a0n),
  mmio: { ...NPT_6_12.mmio, ...GENERATION_7_3 },
};

const EPT_6_1: LayoutRow = {
  empty: fromSource(0n),
  frozen: fromSource(0x5a0n),
  always: ABSENT,
  inverted: ABSENT,
  granted: {
    readable: fromSource(1n << 0n),
    executable: fromSource(1n << 2n),
    userExecutable: ABSENT,
  },
  saved: {
    readable: fromSource(1n << 54n),
    executable: fromSource(1n << 56n),
    userExecutable: ABSENT,
  },
  writable: fromSource(1n << 1n),
  user: ABSENT,
  accessed: fromSource(1n << 8n),
  dirty: fromSource(1n << 9n),
  hostWritable: fromSource(1n << 57n),
  mmuWritable: fromSource(1n << 58n),
  large: fromSource(1n << 7n),
  adType: fromSource(3n << 52n),
  memoryType: fromSource(7n << 3n),
  ignorePat: fromSource(1n << 6n),
  mmio: {
    // write and execute without read: an EPT misconfiguration, so that every access exits
    mask: fromSource(0x7n),
    value: fromSource(0x6n),
    access: ABSENT,
    generationLow: fromSource(0x7f8n),
    generationLowBits: 8,
    generationHigh: fromSource(0x7ff0_0000_0000_0000n),
  },
};

const EPT_6_12: LayoutRow = {
  ...EPT_6_1,
  empty: fromSource(1n << 63n),
  frozen: fromSource(0x8000_0000_0000_05a0n),
  // suppress #VE, which MMIO SPTEs lack
  always: fromSource(1n << 63n),
  mmio: { ...EPT_6_1.mmio, mask: fromSource((1n << 63n) | 0x7n) },
};

const EPT_7_3: LayoutRow = {
  ...EPT_6_12,
  // without bit 10, which would be XU
  frozen: fromSource(0x8000_0000_0000_01a0n),
  granted: { ...EPT_6_12.granted, userExecutable: fromSource(1n << 10n) },
  // the permissions, 52 bits higher
  saved: {
    readable: fromSource(1n << 52n),
    executable: fromSource(1n << 54n),
    userExecutable: fromSource(1n << 62n),
  },
  hostWritable: fromSource(1n << 53n),
  mmuWritable: fromSource(1n << 55n),
  adType: fromSource(3n << 60n),
  mmio: { ...EPT_6_12.mmio, generationLow: fromSource(0x3f8n), generationLowBits: 7 },
};

export const LAYOUTS: Readonly<Record<KernelVersion, Readonly<Record<Vendor, SpteLayout>>>> = {
  '6.1': { npt: layout(NPT_6_1), ept: layout(EPT_6_1) },
  '6.12': { npt: layout(NPT_6_12), ept: layout(EPT_6_12) },
  '7.3': { npt: layout(NPT_7_3), ept: layout(EPT_7_3) },
};
