/**
 * The changes of an entry that each function may make. The states of migration, which is out of
 * scope, do not appear.
 *
 * Source: intel/tdx-module 1.5.01, include/auto_gen/sept_state_lookup.c:
 * seamcall_sept_state_lookup, tdcall_sept_state_lookup; docs/module-notes.md#tlb-tracking for what
 * needs a blocked entry.
 */
import {
  BLOCKED,
  FREE,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  PENDING,
  PENDING_BLOCKED,
  type EntryState,
} from '../entry.ts';
import type { VersionData } from '../version.ts';

/** From and to. */
export type Transition = readonly [EntryState, EntryState];

export interface Transitions {
  /** Legal in every OP_STATE. */
  readonly always: readonly Transition[];
  /** Legal only before the TD is RUNNABLE: these end translations that are not blocked. */
  readonly whileBuilding?: readonly Transition[];
  /**
   * Whether a version allows them also in a TD that runs. `covered`: the entry is below a blocked
   * table.
   */
  readonly alsoRunning?: (version: VersionData, covered: boolean) => boolean;
  /** The entry may point to another page than before. */
  readonly moves?: true;
}

/** What a blocked table covers counts as blocked. */
const whereCovered = ({ blockCoversBelow }: VersionData, covered: boolean): boolean =>
  blockCoversBelow && covered;

/** By function; a function that is not listed changes no entry. */
export const TRANSITIONS: ReadonlyMap<string, Transitions> = new Map<string, Transitions>([
  ['TDH.MEM.SEPT.ADD', { always: [[FREE, NL_MAPPED]] }],
  [
    'TDH.MEM.SEPT.REMOVE',
    {
      always: [[NL_BLOCKED, FREE]],
      whileBuilding: [[NL_MAPPED, FREE]],
      alsoRunning: whereCovered,
    },
  ],
  ['TDH.MEM.PAGE.ADD', { always: [], whileBuilding: [[FREE, MAPPED]] }],
  ['TDH.MEM.PAGE.AUG', { always: [[FREE, PENDING]] }],
  [
    'TDH.MEM.PAGE.REMOVE',
    {
      always: [
        [BLOCKED, FREE],
        [PENDING_BLOCKED, FREE],
      ],
      whileBuilding: [
        [MAPPED, FREE],
        [PENDING, FREE],
      ],
      alsoRunning: whereCovered,
    },
  ],
  [
    'TDH.MEM.PAGE.PROMOTE',
    {
      always: [
        [NL_BLOCKED, MAPPED],
        [NL_BLOCKED, PENDING],
      ],
      whileBuilding: [
        [NL_MAPPED, MAPPED],
        [NL_MAPPED, PENDING],
      ],
      alsoRunning: whereCovered,
      moves: true,
    },
  ],
  [
    'TDH.MEM.PAGE.DEMOTE',
    {
      always: [
        [BLOCKED, NL_MAPPED],
        [PENDING_BLOCKED, NL_MAPPED],
      ],
      whileBuilding: [
        [MAPPED, NL_MAPPED],
        [PENDING, NL_MAPPED],
      ],
      alsoRunning: (version, covered) =>
        !version.demoteNeedsBlock || whereCovered(version, covered),
      moves: true,
    },
  ],
  [
    'TDH.MEM.PAGE.RELOCATE',
    {
      always: [
        [BLOCKED, MAPPED],
        [PENDING_BLOCKED, PENDING],
      ],
      whileBuilding: [
        [MAPPED, MAPPED],
        [PENDING, PENDING],
      ],
      alsoRunning: whereCovered,
      moves: true,
    },
  ],
  [
    'TDH.MEM.RANGE.BLOCK',
    {
      always: [
        [NL_MAPPED, NL_BLOCKED],
        [MAPPED, BLOCKED],
        [PENDING, PENDING_BLOCKED],
      ],
    },
  ],
  [
    'TDH.MEM.RANGE.UNBLOCK',
    {
      always: [
        [NL_BLOCKED, NL_MAPPED],
        [BLOCKED, MAPPED],
        [PENDING_BLOCKED, PENDING],
      ],
    },
  ],
  // PENDING to PENDING: a 2M page, interrupted half-way
  [
    'TDG.MEM.PAGE.ACCEPT',
    {
      always: [
        [PENDING, MAPPED],
        [PENDING, PENDING],
      ],
    },
  ],
]);
