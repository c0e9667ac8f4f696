/**
 * How the interface functions lock the Secure EPT, per module version.
 *
 * `1.5` is measured on module 1.5.01 (`locks.json`): most functions share the tree and lock the one
 * entry they change; only RANGE.BLOCK, RANGE.UNBLOCK, SEPT.REMOVE, and VP.ENTER while zero-step
 * mitigation is armed exclude everybody.
 *
 * `1.0` is the wording that the question of January 2023 quotes from the module's base
 * specification: functions that manage the Secure EPT take the whole tree exclusively, those that
 * read it take it shared, and an entry that a guest may update at the same time is updated by a
 * compare-and-exchange transaction instead of under an entry lock.
 *
 * Adding a module version is adding a column here, and the few functions whose behaviour differs.
 */
import { EXCLUSIVE, SHARED, type Mode } from './locks.ts';

export interface SeptLocking {
  /** How the tree lock is taken; null: not at all. */
  readonly tree: Mode | null;
  /**
   * True: lock the entry (bit 11); false: the tree lock is enough, and guest races are settled by
   * compare-exchange.
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

export type SeptFunction = keyof typeof TABLE;
export const SEPT_FUNCTIONS = Object.keys(TABLE) as SeptFunction[]; // the keys of a literal are its type

export const MODULE_VERSIONS = ['1.5', '1.0'] as const;
export type ModuleVersion = (typeof MODULE_VERSIONS)[number];

export const septLocking = (version: ModuleVersion, fn: SeptFunction): SeptLocking =>
  TABLE[fn][version === '1.5' ? 0 : 1];
