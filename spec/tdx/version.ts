/**
 * What differs between versions of the TDX module, as data.
 *
 * The functions' text is that of 1.5. A version lists where it differs: features, tables of
 * statuses and checks, and, where the text itself differs, a function of its own.
 */
import type { EntryEncoding } from './encoding.ts';
import type { Entry, StateSet } from './entry.ts';
import { EXCLUSIVE, SHARED, type Mode } from './locks.ts';
import type { InterfaceFunction } from './module.ts';
import type { PageType } from './pamt.ts';
import type { Status } from './status.ts';
import type { TdParamsCheck } from './td-params.ts';

/** How a function locks the Secure EPT. */
export interface SeptLocking {
  /** The mode in which the function takes the tree lock; null if it does not. */
  readonly tree: Mode | null;
  /**
   * Whether the function locks the entry. If not, the tree lock is enough, and a
   * compare-and-exchange settles races with guests.
   */
  readonly entryLock: boolean;
  /** The walk locks each table that it passes, shared, until the call ends (fine-grained). */
  readonly path?: true;
  /** The function locks the table that the entry points to, exclusively (fine-grained). */
  readonly below?: true;
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
export const pathOnly: SeptLocking = { tree: null, entryLock: false, path: true };
export const pathAndEntry: SeptLocking = { tree: null, entryLock: true, path: true };
export const pathToBelow: SeptLocking = { tree: null, entryLock: true, path: true, below: true };

/** A check of an entry that a function found: the status if the entry is refused. */
export type EntryCheck = readonly [Status, isRefused: (e: Entry, level: number) => boolean];

/** The pages of a TD's control structure. */
interface TdcxPages {
  readonly min: number;
  readonly max: number;
  /** Number of pages before the one that is the root of the Secure EPT. */
  readonly root: number;
  /** Status of a call on a TD that has fewer than `min`; null if its OP_STATE says enough. */
  readonly missing: Status | null;
}

/** The pages of a vCPU, its TDVPR included. */
interface TdvpsPages {
  readonly min: number;
  readonly perL2Vm: number;
  readonly max: number;
  /** PAMT type of all but the TDVPR. */
  readonly type: PageType;
  /** Status of a call on a vCPU that has too few or too many. */
  readonly wrongNumber: Status;
}

/** A version of the module. A new one is a file that spreads its predecessor. */
export interface VersionData {
  readonly name: string;
  /** The version that `--module` and rules may name for the newest of its family, e.g. `1.5`. */
  readonly family: string;
  /** Every function, by name. */
  readonly functions: ReadonlyMap<string, InterfaceFunction>;

  // Calls

  /** Calls have versions in RAX 23:16; else any version is an invalid operand. */
  readonly versionedCalls: boolean;
  /** Newest version of TDH.VP.INIT; from 1 on R8 is an x2APIC id, and the TDR is exclusive. */
  readonly vpInitVersion: 0 | 1;
  /** Highest value of the flags beside the TDR in RDX of SEPT.RD and DEMOTE. */
  readonly tdrFlags: 0 | 1;
  /** Highest value of the flags beside the TDVPR in RCX of VP.ENTER. */
  readonly enterFlags: 0 | 3;

  // Locks

  readonly septLocks: SeptLocks;
  /** Calls lock OP_STATE, shared. */
  readonly locksOpState: boolean;
  /** A host call that is refused a lock gets priority over guests. */
  readonly hostPriority: boolean;
  /** UNBLOCK locks the PAMT entry of the page. */
  readonly unblockLocksPage: boolean;
  /** MEM.RD and MEM.WR of a leaf above 4K release the tree before they access memory. */
  readonly largeAccessDropsTree: boolean;
  /** VP.ENTER of a vCPU with an armed filter makes it ACTIVE before it releases the tree. */
  readonly activeBeforeTreeRelease: boolean;

  // Secure EPT entries

  readonly encoding: EntryEncoding;
  /** Checks of an entry's state that replace the one in the function's text, by function. */
  readonly entryChecks: ReadonlyMap<string, readonly EntryCheck[]>;
  /** The statuses about an entry that report it in RCX and RDX; null: every one. */
  readonly reporting: ReadonlySet<Status> | null;
  /** Status of MEM.RD, MEM.WR and MR.EXTEND for a GPA that no leaf maps. */
  readonly noLeaf: Status;
  /** Status of SEPT.REMOVE for a table that is not empty. */
  readonly tableNotEmpty: Status;
  /** States that PROMOTE merges. */
  readonly mergeable: StateSet;
  /** MEM.RD and MEM.WR check the GPA before they lock the tree. */
  readonly accessChecksGpaFirst: boolean;

  /** RELOCATE returns the old page in RCX. */
  readonly relocateReturnsPage: boolean;

  // TLB tracking

  /** Blocking and tracking are required in a TD that is being built as well. */
  readonly tracksWhileBuilding: boolean;
  /** The functions that name the tree as the operand of TLB_TRACKING_NOT_DONE, instead of RCX. */
  readonly trackingNamesTree: ReadonlySet<string>;
  /** TRACK halts the module when TD_EPOCH reaches 2^63 - 1. */
  readonly haltsAtLastEpoch: boolean;
  /** Bit 63 of BEPOCH marks a page of a migration, which is never tracked. */
  readonly bepochHasFlag: boolean;

  // PAMT

  /** A new page gets BEPOCH 0; else it keeps that of its last use. */
  readonly resetsBepoch: boolean;
  /** SEPT.REMOVE also clears owner and BEPOCH of the page. */
  readonly clearsRemovedTable: boolean;
  /** A page of a control structure gets its type and its owner in two writes; else in one. */
  readonly assignsStructuresTwice: boolean;
  /** PROMOTE and DEMOTE write type and owner of a PAMT entry at once; else one after the other. */
  readonly resizesPamtAtOnce: boolean;
  /** DEMOTE counts the new page in CHLDCNT before it writes its PAMT entry; else after. */
  readonly demoteCountsFirst: boolean;
  /** Entries of 4K pages exist only where the host adds pages for them (pamt-pairs.ts). */
  readonly dynamicPamt: boolean;

  // Interrupts

  /** The functions that end early for a pending interrupt, before they commit. */
  readonly interruptible: ReadonlySet<string>;

  // Life cycle

  readonly tdcx: TdcxPages;
  readonly tdvps: TdvpsPages;
  /** Status of a call on a fatal TD. */
  readonly fatal: Status;
  /** Status of a wrong OP_STATE, by OP_STATE, for each set of allowed ones; else one for all. */
  readonly opStateStatuses: ReadonlyMap<number, readonly Status[]>;
  /** Status of MNG.INIT and VP.ENTER where IA32_MISC_ENABLE limits CPUID. */
  readonly limitedCpuid: Status;
  /** MNG.ADDCX checks OP_STATE before the page; else after it, from the page `tdcx.min + 1` on. */
  readonly addcxChecksFirst: boolean;
  /** MNG.CREATE and ADDCX need entropy. */
  readonly needsEntropy: boolean;
  /** MR.FINALIZE requires a vCPU. */
  readonly finalizeNeedsVcpu: boolean;
  /** Number of writes with which MR.FINALIZE closes the measurement. */
  readonly measurementWrites: number;
  /** The checks of TD_PARAMS, in order. */
  readonly tdParamsChecks: readonly TdParamsCheck[];
  /** Highest MAX_VCPUS that MNG.INIT accepts. */
  readonly maxVcpus: number;
  /** Bits of ATTRIBUTES that MNG.INIT accepts. */
  readonly attributes: bigint;
  /** A vCPU has LAUNCHED, LAST_EXIT_TSC and ASSOC_HKID, each written in a step of its own. */
  readonly writesVcpuHistory: boolean;

  // DEMOTE

  /** PAGE.DEMOTE splits a page of a TD that can run only if the page is blocked and tracked. */
  readonly demoteNeedsBlock: boolean;

  // Blocked tables

  /** A blocked table stops the walks of host calls, too, and not only those of guests. */
  readonly blockedTablesHide: boolean;
  /** What is below a table counts as blocked, and as tracked, as long as the table does. */
  readonly blockCoversBelow: boolean;

  // The guest

  /** A pending page of a TD that wants #VEs does not count as a fault for the zero-step filter. */
  readonly filterIgnoresVe: boolean;
  /** A TD exit at a RIP that is not that of the entry clears the zero-step filter's list. */
  readonly exitResetsFilter: boolean;
  /** A TD exit of a fatal TD neither counts the vCPU out nor changes its state. */
  readonly fatalExits: boolean;
  /**
   * What follows when VP.ENTER cannot restore the guest's state. `fatal`: the exit of a dead TD,
   * which keeps the vCPU counted. `exit`: an ordinary exit of a debug TD; another TD is fatal, and
   * its vCPU stays ACTIVE. `halt`: nothing handles the exception.
   */
  readonly restoreFault: 'fatal' | 'exit' | 'halt';
  /** An EPT violation of an access reports a pending page. */
  readonly reportsPending: boolean;
  /** The exit of an ACCEPT has an exit qualification, that of a write. */
  readonly acceptIsWrite: boolean;
}
