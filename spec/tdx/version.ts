/** What differs between versions of the TDX module, as data. */
import { EXCLUSIVE, SHARED, type Mode } from './locks.ts';
import type { InterfaceFunction } from './module.ts';

/** How a function locks the Secure EPT. */
export interface SeptLocking {
  /** The mode in which the function takes the tree lock; null if it does not. */
  readonly tree: Mode | null;
  /**
   * Whether the function locks the entry (bit 11). If not, the tree lock is enough, and a
   * compare-and-exchange settles races with guests.
   */
  readonly entryLock: boolean;
}

/** The functions that touch the Secure EPT. VP.ENTER only while zero-step mitigation is armed. */
export const SEPT_FUNCTIONS = [
  'TDH.MEM.SEPT.ADD',
  'TDH.MEM.SEPT.REMOVE',
  'TDH.MEM.SEPT.RD',
  'TDH.MEM.PAGE.ADD',
  'TDH.MEM.PAGE.AUG',
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.PAGE.PROMOTE',
  'TDH.MEM.PAGE.DEMOTE',
  'TDH.MEM.PAGE.RELOCATE',
  'TDH.MEM.RANGE.BLOCK',
  'TDH.MEM.RANGE.UNBLOCK',
  'TDH.MEM.RD',
  'TDH.MEM.WR',
  'TDH.MR.EXTEND',
  'TDG.MEM.PAGE.ACCEPT',
  'TDH.VP.ENTER',
] as const;
/** Name of a function that touches the Secure EPT. */
export type SeptFunction = (typeof SEPT_FUNCTIONS)[number];

/** The lock table of a version. */
type SeptLocks = Readonly<Record<SeptFunction, SeptLocking>>;

export const shared: SeptLocking = { tree: SHARED, entryLock: true };
export const exclusive: SeptLocking = { tree: EXCLUSIVE, entryLock: true };
export const none: SeptLocking = { tree: null, entryLock: false };
export const entryOnly: SeptLocking = { tree: null, entryLock: true };
export const treeExclusive: SeptLocking = { tree: EXCLUSIVE, entryLock: false };
export const treeShared: SeptLocking = { tree: SHARED, entryLock: false };

/** A version of the module. A new one is a file that spreads its predecessor. */
export interface VersionData {
  readonly name: string;
  /** The version that `--module` and rules may name for the newest of its family, e.g. `1.5`. */
  readonly family: string;
  readonly septLocks: SeptLocks;
  /** Every function, by name. */
  readonly functions: ReadonlyMap<string, InterfaceFunction>;
  /** Operand that RANGE.UNBLOCK reports with TLB_TRACKING_NOT_DONE. */
  readonly unblockTrackingOperand: 'RCX' | 'SEPT_TREE';
  /** VP.ENTER of a vCPU with an armed filter makes it ACTIVE before it releases the tree. */
  readonly activeBeforeTreeRelease: boolean;
  /** Newest version of TDH.VP.INIT; from 1 on R8 is an x2APIC id, and the TDR is exclusive. */
  readonly vpInitVersion: 0 | 1;
  /** Highest MAX_VCPUS that MNG.INIT accepts. */
  readonly maxVcpus: number;
  /** Bits of ATTRIBUTES that MNG.INIT accepts besides those of every version. */
  readonly attributes: bigint;
  /** PAGE.DEMOTE splits a page of a TD that can run only if the page is blocked and tracked. */
  readonly demoteNeedsBlock: boolean;
  /** PAGE.DEMOTE ends with INTERRUPTED_RESTARTABLE if an interrupt is pending. */
  readonly interruptibleDemote: boolean;
}
