/**
 * What differs between the kernels whose traces are judged. A kernel is a row; code looks at the
 * row, not at a version.
 */
import { MMU_PRESENT, type SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { LAYOUTS, type KernelVersion } from '../../../spec/kvm/layouts/table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';

export interface TracedKernel {
  readonly version: KernelVersion;
  readonly layout: SpteLayout;
  /**
   * `chg` names the table that the entry is in; else it follows from VM, address space, GFN and old
   * value.
   */
  readonly changesNameTables: boolean;
  /**
   * `init_sp` tells of every table; else a table is known from the entry that points to it, and
   * roots from their use.
   */
  readonly namesTables: boolean;
  /** Aging clears A without mmu_lock; else it holds mmu_lock for write. */
  readonly agesWithoutLock: boolean;
  /**
   * Whoever zaps an entry under the shared lock freezes it first, traced, and makes it empty
   * afterwards, untraced.
   */
  readonly thawsUntraced: boolean;
  /** The bit of a root's role that says that it is invalid; 0 where roles are not told. */
  readonly invalidRole: number;
}

/**
 * Virtual addresses of physical memory begin here where KASLR is off, as it has to be for tracing
 * by probes.
 */
export const DIRECT_MAP = 0xffff_8880_0000_0000n;

/**
 * The bit of a role that says that the table belongs to a mirror: the same in all kernels that have
 * mirrors, 0 in those before. Source: kvm_host.h, union kvm_mmu_page_role; no recording has a
 * mirror.
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
    invalidRole: 0,
  },
  '6.12': {
    version: '6.12',
    layout: LAYOUTS['6.12'].npt,
    changesNameTables: false,
    namesTables: true,
    agesWithoutLock: false,
    thawsUntraced: false,
    invalidRole: 1 << 11,
  },
  '7.3': {
    version: '7.3',
    layout: LAYOUTS['7.3'].npt,
    changesNameTables: true,
    namesTables: true,
    agesWithoutLock: true,
    thawsUntraced: false,
    invalidRole: 1 << 12,
  },
};

export const TRACED_KERNELS = ROWS;

/** The upper bit of the memory type that memory has on EPT, and that no leaf of NPT has. */
const WRITE_BACK = 1 << 4;
const CHANGED_6_12 = hashOfText('handle_changed_spte');

/** The same kernels on processors whose tables are EPTs. */
const ON_INTEL = new Map(
  Object.values(ROWS).map((row) => [row, { ...row, layout: LAYOUTS[row.version].ept }]),
);

/** The kernel whose `chg` looks so. */
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
 * The row for the processor that an SPTE is written for. Bit 5 is NPT's A, which KVM sets in every
 * table's entry, where EPT has nothing; of a leaf, bits 5:3 are EPT's memory type, which is
 * write-back where there is memory, and zero on NPT.
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
