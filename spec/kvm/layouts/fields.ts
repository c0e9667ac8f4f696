/** What an SPTE says, whatever bits a kernel and a vendor say it with. */

/**
 * - `none`: nothing is mapped.
 * - `frozen`: FROZEN_SPTE (REMOVED_SPTE in 6.1): the entry belongs to whoever is changing it.
 * - `mmio`: no memory is behind the GFN; accesses are emulated. Not present to the MMU, though
 *   present to the hardware.
 * - `table`: points to a lower table.
 * - `leaf`: maps memory.
 */
export type SpteKind = 'none' | 'frozen' | 'mmio' | 'table' | 'leaf';

/**
 * How accesses and writes through an SPTE are noticed: by the hardware's A and D bits; not by them,
 * so that the SPTE is made inaccessible instead; by A and D, but with write protection for the
 * dirty log (an L2's SPTE, PML being L1's).
 */
export type AdType = 'enabled' | 'disabled' | 'wrprot-only';

/**
 * Indexed by the two type bits; 3 is none. Source: spte.h, SPTE_TDP_AD_*; the numbers are the same
 * in all kernels.
 */
export const AD_TYPES: readonly AdType[] = ['enabled', 'disabled', 'wrprot-only'];

/**
 * One shape for every kind, so that code that reads millions of them stays fast. What a kind lacks
 * is 0 or false.
 */
export interface SpteFields {
  readonly kind: SpteKind;
  /**
   * Page frame number of the mapped page or of the lower table: HPA bits 51:12. A memory-encryption
   * bit is in it.
   */
  readonly pfn: number;
  /** A leaf above level 1. */
  readonly large: boolean;
  /**
   * When {@link accessTracked}: what the next access will restore. So are the two permissions to
   * execute.
   */
  readonly readable: boolean;
  /** The hardware lets writes through. */
  readonly writable: boolean;
  /** In the guest's supervisor mode; in both modes where the layout has no bit for user mode. */
  readonly executable: boolean;
  /** EPT's XU, execution in the guest's user mode; false where the layout has no such bit. */
  readonly userExecutable: boolean;
  /** NPT's U; false on EPT, which has no such bit. */
  readonly user: boolean;
  /** A, which the hardware sets; where the type is `disabled`, younger kernels use it themselves. */
  readonly accessed: boolean;
  /** D, likewise. */
  readonly dirty: boolean;
  readonly adType: AdType;
  /**
   * All permissions are taken away, and those to read and execute saved elsewhere, so that an
   * access faults.
   */
  readonly accessTracked: boolean;
  /** HOST_WRITABLE: neither slot nor VMA is read-only. */
  readonly hostWritable: boolean;
  /**
   * MMU_WRITABLE: no shadowed guest page table lies there, so a write fault may set W without
   * mmu_lock.
   */
  readonly mmuWritable: boolean;
  /** EPT memory type, bits 5:3 (6 is write-back). 0 on NPT, where KVM leaves it to the guest. */
  readonly memoryType: number;
  /** EPT bit 6: the guest's PAT does not count. */
  readonly ignorePat: boolean;
  /** Of an MMIO SPTE: the GFN that it is for. */
  readonly gfn: number;
  /** Of an MMIO SPTE: the low bits of the memslots' generation at its making. */
  readonly generation: number;
  /**
   * Of an MMIO SPTE: the guest's permission, 2 write and 4 user, as `handle_mmio_page_fault`
   * reports it. 0 on EPT.
   */
  readonly access: number;
}

/** Nothing is mapped; the other kinds are this one, spread, with what they have. */
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
