/**
 * The conventions of the recorders of pairs: how each set up a pair, and how it wrote down what it
 * saw. There is one recorder for each family of modules; the format is common.
 *
 * Source: the note and method of each recording, and the addresses, counts and statuses in its
 * cells; for 1.0.03 also the notes on how it was recorded (docs/module-notes.md#version-1003).
 */
import type { VersionData } from '../../../../spec/tdx/versions/index.ts';
import { RELATIONS_1_0, RELATIONS_1_5, type Relation } from './relations.ts';

export interface Conventions {
  /** The tables of words, of stages of a TD's life, and of the functions and relations there. */
  readonly tables: '1.0' | '1.5';

  // Set-ups

  /** Bytes of the TDMR, from its base on, that hold every page of a set-up. */
  readonly tdmrBytes: number;
  /** A leaf or 512 children have pages by the entry's number; else the next ones of a pool. */
  readonly pagesByEntry: boolean;
  /** HPA of X's new 2M page; Y's is the next. */
  readonly newLargePage: number;
  readonly relations: ReadonlyMap<string, Relation>;
  /** TDH.MEM.TRACK ends the set-up of each RUNNABLE TD; else of each with a "(tracked)" entry. */
  readonly tracksRunnable: boolean;
  /** The second TD is in the pair's OP_STATE; else in one in which Y can succeed. */
  readonly isStateShared: boolean;
  /** A vCPU of X or Y in the guest has been there before. */
  readonly entersTwice: boolean;
  /** A guest's call is made by the vCPU that else only runs, if X is that; else by another. */
  readonly sharesRunningVcpu: boolean;
  /** A vCPU with an armed zero-step filter is flushed. */
  readonly flushesArmed: boolean;
  /** The TDs of life-cycle pairs have one vCPU, and Y creates TDs with the second HKID. */
  readonly hasOneVcpu: boolean;
  /** X = RECLAIM finds the TD in TEARDOWN. */
  readonly forcesTeardown: boolean;
  /** The page of RECLAIM and RDMD if no page is under their entry is a table of the TD. */
  readonly readsTableOfTd: boolean;

  // What is written down

  /** `yAlone` is with X's vCPU in the guest, if X is a guest's call. */
  readonly yAloneSeesX: boolean;
  /** `xLocksHeldAtPause` leaves out what X has released or promoted. */
  readonly countsHeld: boolean;
  /** The locks that a vCPU in the guest holds, if `xLocksHeldAtPause` of such an X counts them. */
  readonly countsLocksOfGuest: boolean;
  /** `entryWhilePaused` is from before Y ran. */
  readonly seesEntryBeforeY: boolean;
  /** The entry is where a host's walk to it ends, which may be above it. */
  readonly walksToEntry: boolean;
  /** Two calls are linearizable if outputs and final state agree too; else if statuses do. */
  readonly comparesState: boolean;
  /** Statuses name a level, in its place of the operand. */
  readonly namesLevel: boolean;
  readonly exitText: (reason: number) => string;
  /** `yStatusRaw` after a TD exit is the exit reason. */
  readonly reportsExitReason: boolean;
  /** A guest's attempt at the lock of an entry is written down as a write of the entry. */
  readonly guestLockIsWrite: boolean;
  /** The lock of the processor's key table, inside PCONFIG, is seen. */
  readonly seesKeyTable: boolean;
  /** How names of locks begin the number of a package: `pkg 0`, or `0`. */
  readonly packagePrefix: string;
  /** A lock table lists releases by a write of the entry among the others, too. */
  readonly listsReleasingWrites: boolean;
  /** The name of each kind of lock in lock tables. */
  readonly lockTypes: Readonly<Record<LockType, string>>;
  /** The 4K pages of a 2M page whose PAMT entries are watched. */
  readonly watchedChildren: readonly [number, number];
  /** A write of the second of them is seen only after the next watched write. */
  readonly isSecondChildLate: boolean;
  readonly events: EventNames;
  /** Rows of a stepwise recording name the lock that refused Y. */
  readonly rowsNameLock: boolean;
  /** Y ran only at some of the events of a call that has many; else see isTried(). */
  readonly samplesLongCalls: boolean;
  /** The events at which a row is kept although it is linearizable. */
  readonly keptEvents: ReadonlySet<string>;
}

/** A lock's kind: with host priority or not, inside an entry, or inside an instruction. */
export type LockType = 'sharexHp' | 'sharex' | 'mutex' | 'entry' | 'hardware';

/** The names of events inside a lock function, and of an acquisition by promotion. */
interface EventNames {
  readonly acquiring: string;
  readonly releasing: string;
  readonly promoted: string;
}

const MIB = 2 ** 20;

const CONVENTIONS_1_5: Conventions = {
  tables: '1.5',
  hasOneVcpu: false,
  tdmrBytes: 32 * MIB,
  pagesByEntry: true,
  newLargePage: 0x100800000,
  relations: RELATIONS_1_5,
  tracksRunnable: true,
  isStateShared: false,
  entersTwice: true,
  sharesRunningVcpu: false,
  flushesArmed: true,
  forcesTeardown: true,
  readsTableOfTd: false,
  yAloneSeesX: false,
  countsHeld: false,
  countsLocksOfGuest: false,
  seesEntryBeforeY: false,
  walksToEntry: false,
  comparesState: false,
  namesLevel: true,
  exitText: (reason) => `(TD_EXIT ${reason})`,
  reportsExitReason: false,
  guestLockIsWrite: false,
  seesKeyTable: true,
  packagePrefix: 'pkg ',
  listsReleasingWrites: false,
  lockTypes: {
    sharexHp: 'sharex-host-priority',
    sharex: 'sharex',
    mutex: 'mutex',
    entry: 'sept-entry(host-priority bit)',
    hardware: 'hardware',
  },
  watchedChildren: [0, 1],
  isSecondChildLate: false,
  events: { acquiring: 'acquiring', releasing: 'releasing', promoted: 'PROMOTE' },
  rowsNameLock: true,
  samplesLongCalls: false,
  keptEvents: new Set([
    'beforeAcquire',
    'acquiring',
    'afterAcquire',
    'refused',
    'afterWrite',
    'beforeRelease',
    'releasing',
  ]),
};

const CONVENTIONS_1_0: Conventions = {
  tables: '1.0',
  hasOneVcpu: true,
  tdmrBytes: 64 * MIB,
  pagesByEntry: false,
  newLargePage: 0x102000000,
  relations: RELATIONS_1_0,
  tracksRunnable: false,
  isStateShared: true,
  entersTwice: false,
  sharesRunningVcpu: true,
  flushesArmed: false,
  forcesTeardown: false,
  readsTableOfTd: true,
  yAloneSeesX: true,
  countsHeld: true,
  countsLocksOfGuest: true,
  seesEntryBeforeY: true,
  walksToEntry: true,
  comparesState: true,
  namesLevel: false,
  exitText: (reason) => `TD_EXIT(${reason})`,
  reportsExitReason: true,
  guestLockIsWrite: true,
  seesKeyTable: false,
  packagePrefix: '',
  listsReleasingWrites: true,
  lockTypes: {
    sharexHp: 'sharex',
    sharex: 'sharex',
    mutex: 'mutex',
    entry: 'sept-entry(guest bit 62)',
    hardware: 'hardware',
  },
  watchedChildren: [0, 256],
  isSecondChildLate: true,
  events: {
    acquiring: 'afterLockWrite',
    releasing: 'afterRelease',
    promoted: 'EXCLUSIVE(promoted)',
  },
  rowsNameLock: false,
  samplesLongCalls: true,
  keptEvents: new Set(['afterAcquire', 'afterWrite', 'beforeRelease', 'beforeCompareExchange']),
};

const BY_FAMILY: ReadonlyMap<string, Conventions> = new Map([
  ['1.0', CONVENTIONS_1_0],
  ['1.5', CONVENTIONS_1_5],
]);

/** The conventions of the recorder of a version's family; of 1.5 if that has none of its own. */
export const conventionsOf = ({ family }: VersionData): Conventions =>
  BY_FAMILY.get(family) ?? CONVENTIONS_1_5;
