/**
 * Differences between the kernels whose traces are judged. Code reads a kernel's row, not its
 * version.
 */
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { LAYOUTS, type KernelVersion, type Vendor } from '../../../spec/kvm/layouts/table.ts';
import { KERNEL_NAMES, type KernelName } from './names.ts';

/** What is known of one kernel. `source`: only read in its source, else seen in captures. */
interface KernelRow extends Behaviour {
  /** The kernel whose layouts of SPTEs it has. */
  readonly layouts: KernelVersion;
  /** Whether aging clears A without mmu_lock. If not, it holds mmu_lock for write. */
  readonly agesWithoutLock: boolean;
  readonly source?: readonly (keyof KernelRow)[];
}

/** The kernel of a trace: the one, or what those have in common that it may be. */
export interface TracedKernel extends Behaviour {
  /** The one that stands for all of them: the oldest, or the newest that is the same. */
  readonly version: KernelName;
  readonly names: readonly KernelName[];
  readonly layout: SpteLayout;
  /** As in a row; null where the kernels differ. */
  readonly agesWithoutLock: boolean | null;
}

interface Behaviour {
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
  /**
   * Whether `kvm_exit` comes after the vCPU has enabled interrupts, and can have been kicked out of
   * the guest long before. Source: svm.c of 6.1, svm_handle_exit(); recorded: later kernels, and
   * VMX, have the event with interrupts off.
   */
  readonly reportsExitsLate: boolean;
  /** Bit of a role that marks a root invalid; 0 where events have no role. */
  readonly invalidRole: number;
}

/**
 * Bit of a role that marks a mirror's table: the same in all kernels with mirrors, and 0 in earlier
 * ones. Source: kvm_host.h, union kvm_mmu_page_role; no recording has a mirror.
 */
export const MIRROR_ROLE = 1 << 19;

const ROW_6_12: KernelRow = {
  layouts: '6.12',
  changesNameTables: false,
  namesTables: true,
  agesWithoutLock: false,
  thawsUntraced: false,
  flushesFrozen: true,
  reportsExitsLate: false,
  invalidRole: 1 << 11,
};
const ROW_7: KernelRow = {
  layouts: '7.3',
  changesNameTables: true,
  namesTables: true,
  agesWithoutLock: true,
  thawsUntraced: false,
  flushesFrozen: false,
  reportsExitsLate: false,
  invalidRole: 1 << 12,
};

const ROWS: Readonly<Record<KernelName, KernelRow>> = {
  '6.1': {
    layouts: '6.1',
    changesNameTables: false,
    namesTables: false,
    agesWithoutLock: false,
    thawsUntraced: true,
    flushesFrozen: false,
    reportsExitsLate: true,
    invalidRole: 0,
  },
  '6.12': ROW_6_12,
  // since 6.15; captures show it of 6.18
  '6.16': { ...ROW_6_12, agesWithoutLock: true, source: ['agesWithoutLock'] },
  '6.18': { ...ROW_6_12, agesWithoutLock: true },
  '7.2': ROW_7,
  '7.3': ROW_7,
};

/** What kernels have in common, on processors with NPT or EPT. @throws Error for no kernel */
export function tracedKernel(names: readonly KernelName[], vendor: Vendor = 'npt'): TracedKernel {
  const rows = names.map((name) => ROWS[name]);
  const [first] = rows;
  if (first === undefined) throw new Error('no kernel is traced');
  const { layouts, agesWithoutLock, invalidRole, source: _, ...behaviour } = first;
  return {
    ...behaviour,
    version: names.findLast((name) => ROWS[name] === first) ?? KERNEL_NAMES[0],
    names,
    layout: LAYOUTS[layouts][vendor],
    agesWithoutLock: rows.every((row) => row.agesWithoutLock === agesWithoutLock)
      ? agesWithoutLock
      : null,
    flushesFrozen: rows.some((row) => row.flushesFrozen),
    reportsExitsLate: vendor === 'npt' && rows.some((row) => row.reportsExitsLate),
    invalidRole: rows.every((row) => row.invalidRole === invalidRole) ? invalidRole : 0,
  };
}
