/**
 * Differences between the kernels whose traces are judged. Code reads a kernel's row, not its
 * version.
 */
import { MMU_PRESENT, type SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { LAYOUTS, type KernelVersion } from '../../../spec/kvm/layouts/table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';

export interface TracedKernel {
  readonly version: KernelVersion;
  readonly layout: SpteLayout;
  /**
   * Whether `chg` names the entry's table. If not, the table follows from the VM, the address
   * space, the GFN and the old value.
   */
  readonly changesNameTables: boolean;
  /**
   * Whether `init_sp` shows every new table. If not, a table is known from the entry that points to
   * it, and a root from its use.
   */
  readonly namesTables: boolean;
  /** Whether aging clears A without mmu_lock. If not, it holds mmu_lock for write. */
  readonly agesWithoutLock: boolean;
  /**
   * Whether a zap under mmu_lock held for read freezes the entry with an event, and then empties it
   * without one.
   */
  readonly thawsUntraced: boolean;
  /**
   * Whether a zap by exchange freezes the entry, flushes exactly its GFNs, and has its event after
   * that. Source: tdp_mmu.c, tdp_mmu_zap_spte_atomic() of 6.12; recorded.
   */
  readonly flushesFrozen: boolean;
  /** Bit of a role that marks a root invalid; 0 where events have no role. */
  readonly invalidRole: number;
}

/**
 * Bit of a role that marks a mirror's table: the same in all kernels with mirrors, and 0 in earlier
 * ones. Source: kvm_host.h, union kvm_mmu_page_role; no recording has a mirror.
 */
export const MIRROR_ROLE = 1 << 19;

const ROWS: Readonly<Record<KernelVersion, TracedKernel>> = {
  '6.1': {
    version: '6.1',
    layout: LAYOUTS['6.1'].npt,
    changesNameTables: false,
    namesTables: false,
    agesWithoutLock: false,
    thawsUntraced: true,
    flushesFrozen: false,
    invalidRole: 0,
  },
  '6.12': {
    version: '6.12',
    layout: LAYOUTS['6.12'].npt,
    changesNameTables: false,
    namesTables: true,
    agesWithoutLock: false,
    thawsUntraced: false,
    flushesFrozen: true,
    invalidRole: 1 << 11,
  },
  '7.3': {
    version: '7.3',
    layout: LAYOUTS['7.3'].npt,
    changesNameTables: true,
    namesTables: true,
    agesWithoutLock: true,
    thawsUntraced: false,
    flushesFrozen: false,
    invalidRole: 1 << 12,
  },
};

export const TRACED_KERNELS = ROWS;

/** Upper bit of the write-back memory type in a leaf of EPT. No leaf of NPT has it. */
const WRITE_BACK = 1 << 4;
const CHANGED_6_12 = hashOfText('handle_changed_spte');

/** The same kernels on processors with EPT. */
const ON_INTEL = new Map(
  Object.values(ROWS).map((row) => [row, { ...row, layout: LAYOUTS[row.version].ept }]),
);

/** Recognises the kernel, and whether it uses EPT, by an event `chg`. */
export function kernelOfChange(e: TraceEvent): TracedKernel {
  const kernel = e.has('spt')
    ? ROWS['7.3']
    : e.caller === CHANGED_6_12
      ? ROWS['6.12']
      : ROWS['6.1'];
  return onProcessorOf(e, kernel);
}

const isPresent = (lo: number): boolean => (lo & MMU_PRESENT) !== 0;

/**
 * Returns the row for the processor that an SPTE is written for. In an entry that points to a
 * table, KVM sets bit 5 on NPT (A) and not on EPT. In a leaf, bits 5:3 are the memory type on EPT,
 * which is write-back for memory, and zero on NPT.
 */
function onProcessorOf(e: TraceEvent, kernel: TracedKernel): TracedKernel {
  const lo = isPresent(e.low('new')) ? e.low('new') : e.low('old');
  if (!isPresent(lo)) return kernel;
  const isTable = e.low('level') > 1 && (lo & kernel.layout.large.lo) === 0;
  const isEpt = isTable
    ? (lo & LAYOUTS[kernel.version].npt.accessed.lo) === 0
    : (lo & WRITE_BACK) !== 0;
  return isEpt ? (ON_INTEL.get(kernel) ?? kernel) : kernel;
}
