/** What differs between the kernels whose traces are judged. A kernel is a row; code looks at the row, not at a version. */
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { LAYOUTS, type KernelVersion } from '../../../spec/kvm/layouts/table.ts';

export interface TracedKernel {
  readonly version: KernelVersion;
  readonly layout: SpteLayout;
  /** `chg` names the table that the entry is in; else it follows from VM, address space, GFN and old value. */
  readonly changesNameTables: boolean;
  /** `init_sp` tells of every table; else a table is known from the entry that points to it, and roots from their use. */
  readonly namesTables: boolean;
  /** Aging clears A without mmu_lock; else it holds mmu_lock for write. */
  readonly agesWithoutLock: boolean;
  /** Whoever zaps an entry under the shared lock freezes it first, traced, and makes it empty afterwards, untraced. */
  readonly thawsUntraced: boolean;
  /** The bit of a root's role that says that it is invalid; 0 where roles are not told. */
  readonly invalidRole: number;
}

/** Virtual addresses of physical memory begin here where KASLR is off, as it has to be for tracing by probes. */
export const DIRECT_MAP = 0xffff_8880_0000_0000n;

const ROWS: Readonly<Record<KernelVersion, TracedKernel>> = {
  '6.1': {
    version: '6.1', layout: LAYOUTS['6.1'].npt, changesNameTables: false, namesTables: false, agesWithoutLock: false,
    thawsUntraced: true, invalidRole: 0,
  },
  '6.12': {
    version: '6.12', layout: LAYOUTS['6.12'].npt, changesNameTables: false, namesTables: true, agesWithoutLock: false,
    thawsUntraced: false, invalidRole: 1 << 11,
  },
  '7.3': {
    version: '7.3', layout: LAYOUTS['7.3'].npt, changesNameTables: true, namesTables: true, agesWithoutLock: true,
    thawsUntraced: false, invalidRole: 1 << 12,
  },
};

export const TRACED_KERNELS = ROWS;

const CHANGED_6_12 = hashOfText('handle_changed_spte');

/** The kernel whose `chg` looks so. */
export function kernelOfChange(e: TraceEvent): TracedKernel {
  if (e.has('spt')) return ROWS['7.3'];
  return e.caller === CHANGED_6_12 ? ROWS['6.12'] : ROWS['6.1'];
}
