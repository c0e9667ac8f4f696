/**
 * The lock table: how the interface functions lock the Secure EPT, per module version.
 *
 * `1.5` is module 1.5.01: most functions share the tree and lock the one entry that they change;
 * only RANGE.BLOCK, RANGE.UNBLOCK, SEPT.REMOVE, and VP.ENTER while zero-step mitigation is armed,
 * take the tree exclusively.
 *
 * `1.0` is the wording of the module's base specification that the question of January 2023 quotes.
 * Functions that manage the Secure EPT take the whole tree exclusively, functions that read it take
 * it shared, and a function updates an entry that a guest may update at the same time by a
 * compare-and-exchange transaction instead of under an entry lock.
 *
 * To add a module version, add a column here and change the few functions whose behaviour differs.
 *
 * Source: 1.5: the argument of lock_sept_check_and_walk_private_gpa() in each function of
 * intel/tdx-module 1.5.01, src/vmm_dispatcher/api_calls/; measured:
 * docs/module-notes.md#lock-table. 1.0: thread, message 16.
 */
import { EXCLUSIVE, SHARED, type Mode } from './locks.ts';

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

const shared: SeptLocking = { tree: SHARED, entryLock: true };
const exclusive: SeptLocking = { tree: EXCLUSIVE, entryLock: true };
const none: SeptLocking = { tree: null, entryLock: false };
const manages: SeptLocking = { tree: EXCLUSIVE, entryLock: false };
const reads: SeptLocking = { tree: SHARED, entryLock: false };

/** The functions that touch the Secure EPT: [1.5, 1.0]. */
const TABLE = {
  'TDH.MEM.SEPT.ADD': [shared, manages],
  'TDH.MEM.SEPT.REMOVE': [exclusive, manages],
  'TDH.MEM.SEPT.RD': [shared, reads],
  'TDH.MEM.PAGE.ADD': [none, manages],
  'TDH.MEM.PAGE.AUG': [shared, manages],
  'TDH.MEM.PAGE.REMOVE': [shared, manages],
  'TDH.MEM.PAGE.PROMOTE': [shared, manages],
  'TDH.MEM.PAGE.DEMOTE': [shared, manages],
  'TDH.MEM.PAGE.RELOCATE': [shared, manages],
  'TDH.MEM.RANGE.BLOCK': [exclusive, manages],
  'TDH.MEM.RANGE.UNBLOCK': [exclusive, manages],
  'TDH.MEM.RD': [shared, reads],
  'TDH.MEM.WR': [shared, reads],
  'TDH.MR.EXTEND': [none, reads],
  'TDG.MEM.PAGE.ACCEPT': [{ tree: null, entryLock: true }, none],
  /** Only while zero-step mitigation is armed. */
  'TDH.VP.ENTER': [
    { tree: EXCLUSIVE, entryLock: false },
    { tree: EXCLUSIVE, entryLock: false },
  ],
} as const satisfies Record<string, readonly [SeptLocking, SeptLocking]>;

/** Functions that lock the Secure EPT. */
export type SeptFunction = keyof typeof TABLE;
// the keys of a literal are its type
export const SEPT_FUNCTIONS = Object.keys(TABLE) as SeptFunction[];

export const MODULE_VERSIONS = ['1.5', '1.0'] as const;
/** Versions of the module: 1.5 and 1.0. */
export type ModuleVersion = (typeof MODULE_VERSIONS)[number];

/** How `fn` locks the Secure EPT in `version`. */
export const septLocking = (version: ModuleVersion, fn: SeptFunction): SeptLocking =>
  TABLE[fn][version === '1.5' ? 0 : 1];
