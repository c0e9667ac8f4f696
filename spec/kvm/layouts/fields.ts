/** Fields of an SPTE, independent of the bits that a kernel and a vendor use for them. */

/**
 * - `none`: nothing is mapped.
 * - `frozen`: FROZEN_SPTE (REMOVED_SPTE in 6.1): the entry belongs to the task that changes it.
 * - `mmio`: no memory backs the GFN; accesses are emulated. Present to the hardware, not to KVM.
 * - `table`: points to a lower table.
 * - `leaf`: maps memory.
 */
export type SpteKind = 'none' | 'frozen' | 'mmio' | 'table' | 'leaf';

/**
 * How KVM detects accesses and writes through an SPTE:
 *
 * - `enabled`: by the hardware's A and D bits.
 * - `disabled`: without them; KVM makes the SPTE inaccessible instead.
 * - `wrprot-only`: by A and D, but the dirty log uses write protection (an L2's SPTE: PML logs L1).
 */
export type AdType = 'enabled' | 'disabled' | 'wrprot-only';

/** Indexed by the two type bits; 3 is unused. Source: Linux, spte.h: SPTE_TDP_AD_*. */
export const AD_TYPES: readonly AdType[] = ['enabled', 'disabled', 'wrprot-only'];

/**
 * One shape for every kind, so that code that reads millions of them stays fast. Fields that a kind
 * does not have are 0 or false.
 */
export interface SpteFields {
  readonly kind: SpteKind;
  /**
   * Page frame number of the mapped page or of the lower table: HPA bits 51:12, which may include a
   * memory-encryption bit.
   */
  readonly pfn: number;
  /** A leaf above level 1. */
  readonly large: boolean;
  /** If {@link accessTracked}: the saved permission. Likewise the two permissions to execute. */
  readonly readable: boolean;
  /** The hardware permits writes. */
  readonly writable: boolean;
  /** Execution in supervisor mode; in both modes if the layout has no bit for user mode. */
  readonly executable: boolean;
  /** EPT's XU, execution in user mode; false if the layout has no such bit. */
  readonly userExecutable: boolean;
  /** NPT's U; false on EPT, which has no such bit. */
  readonly user: boolean;
  /** A, set by the hardware; by newer kernels themselves if the type is `disabled`. */
  readonly accessed: boolean;
  /** D, likewise. */
  readonly dirty: boolean;
  readonly adType: AdType;
  /** All permissions are cleared, and those to read and execute saved, so that an access faults. */
  readonly accessTracked: boolean;
  /** HOST_WRITABLE: neither slot nor VMA is read-only. */
  readonly hostWritable: boolean;
  /** MMU_WRITABLE: the page holds no shadowed table, and a fault may set W without mmu_lock. */
  readonly mmuWritable: boolean;
  /** EPT memory type, bits 5:3 (6 is write-back). 0 on NPT, where the guest determines it. */
  readonly memoryType: number;
  /** EPT bit 6: the guest's PAT is ignored. */
  readonly ignorePat: boolean;
  /** MMIO only: the GFN. */
  readonly gfn: number;
  /** MMIO only: low bits of the memslot generation at which the SPTE was made. */
  readonly generation: number;
  /** MMIO only: the guest's permissions, 2 write and 4 user (handle_mmio_page_fault). 0 on EPT. */
  readonly access: number;
}

/** Nothing is mapped. SPTEs of other kinds spread this value. */
export const NO_SPTE: SpteFields = {
  kind: 'none',
  pfn: 0,
  large: false,
  readable: false,
  writable: false,
  executable: false,
  userExecutable: false,
  user: false,
  accessed: false,
  dirty: false,
  adType: 'enabled',
  accessTracked: false,
  hostWritable: false,
  mmuWritable: false,
  memoryType: 0,
  ignorePat: false,
  gfn: 0,
  generation: 0,
  access: 0,
};
