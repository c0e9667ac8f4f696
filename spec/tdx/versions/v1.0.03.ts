/**
 * Module 1.0.03. A function that changes the Secure EPT takes the whole tree exclusively, one that
 * reads it takes it shared, and there are no entry locks of the host: RANGE.BLOCK and the guest's
 * ACCEPT, which can meet at an entry, update it by compare-and-exchange. There is no host priority,
 * no OP_STATE, no interrupt of PROMOTE and DEMOTE, and no call has versions. Blocking and tracking
 * are required always.
 *
 * Source: tdx-module 1.0.03 (commit fd485aa of niooss-ledger/tdx-module),
 * src/vmm_dispatcher/api_calls/, src/common/helpers/helpers.c, src/td_dispatcher/vm_exits/;
 * measured: docs/module-notes.md#version-1003.
 */
import {
  HELD_EPOCH,
  HELD_IMPLICIT,
  HELD_KET,
  HELD_KOT,
  HELD_ENTRY,
  HELD_PAGE,
  HELD_RANGE,
  HELD_TDR,
  HELD_TDVPR,
  HELD_TREE,
  HELD_WBT,
  parent1G,
  parent2M,
  type Role,
} from '../call.ts';
import { ALL_BLOCKED, among, FREE, isLeaf, MAPPED, setOf, stateOf, type Entry } from '../entry.ts';
import { FUNCTIONS } from '../functions/index.ts';
import { TDVPX } from '../pamt.ts';
import * as S from '../status.ts';
import { ATTRIBUTES, TD_PARAMS_1_0 } from '../td-params.ts';
import { IN_BUILD_OR_RUN, IN_INITIALIZED, IN_RUNNABLE, IN_UNINITIALIZED } from '../td.ts';
import {
  entryOnly,
  treeExclusive,
  treeShared,
  type EntryCheck,
  type VersionData,
} from '../version.ts';
import { ENCODING_1_0 } from './v1.0/encoding.ts';
import { mngRd } from './v1.0/mng-rd.ts';
import { pageAccept } from './v1.0/page-accept.ts';
import { septAdd } from './v1.0/sept-add.ts';
import { V1_5_01 } from './v1.5.01.ts';

const { DEBUG, SEPT_VE_DISABLE, PKS, PERFMON } = ATTRIBUTES;

/** An entry of level 0 counts as a leaf, even a FREE one. */
const isLeafAt = (e: Entry, level: number): boolean => level === 0 || isLeaf(e);

const FREE_ONLY: EntryCheck = [S.EPT_ENTRY_NOT_FREE, (e) => stateOf(e) !== FREE];
const NOT_FREE: EntryCheck = [S.EPT_ENTRY_FREE, (e) => stateOf(e) === FREE];
const LEAF_ONLY: EntryCheck = [S.EPT_ENTRY_NOT_LEAF, (e, level) => !isLeafAt(e, level)];
const NO_LEAF: EntryCheck = [S.EPT_ENTRY_LEAF, isLeafAt];
const BLOCKED_ONLY: EntryCheck = [S.GPA_RANGE_NOT_BLOCKED, (e) => !among(ALL_BLOCKED, e)];
const MAPPED_ONLY: EntryCheck = [S.EPT_ENTRY_NOT_PRESENT, (e) => stateOf(e) !== MAPPED];

const walked = (role: Role): Role[] => [role, parent2M(role), parent1G(role)];
/**
 * The one order in which functions release what they hold: the TDR first, new pages before old
 * ones.
 */
const RELEASE_ORDER: readonly Role[] = [
  HELD_KET,
  HELD_KOT,
  HELD_WBT,
  HELD_RANGE,
  HELD_ENTRY,
  ...walked(HELD_TDR),
  HELD_TREE,
  HELD_EPOCH,
  ...walked(HELD_TDVPR),
  ...walked(HELD_PAGE),
  HELD_IMPLICIT,
];

export const V1_0_03: VersionData = {
  ...V1_5_01,
  name: '1.0.03',
  family: '1.0',
  functions: new Map(
    [...FUNCTIONS.values(), septAdd, pageAccept, mngRd].map((fn) => [
      fn.name,
      { ...fn, release: RELEASE_ORDER },
    ]),
  ),

  versionedCalls: false,
  tdrFlags: 0,
  enterFlags: 0,

  septLocks: {
    'TDH.MEM.SEPT.ADD': treeExclusive,
    'TDH.MEM.SEPT.REMOVE': treeExclusive,
    'TDH.MEM.SEPT.RD': treeShared,
    'TDH.MEM.PAGE.ADD': treeExclusive,
    'TDH.MEM.PAGE.AUG': treeExclusive,
    'TDH.MEM.PAGE.REMOVE': treeExclusive,
    'TDH.MEM.PAGE.PROMOTE': treeExclusive,
    'TDH.MEM.PAGE.DEMOTE': treeExclusive,
    'TDH.MEM.PAGE.RELOCATE': treeExclusive,
    'TDH.MEM.RANGE.BLOCK': treeExclusive,
    'TDH.MEM.RANGE.UNBLOCK': treeExclusive,
    'TDH.MEM.RD': treeShared,
    'TDH.MEM.WR': treeShared,
    'TDH.MR.EXTEND': treeShared,
    'TDG.MEM.PAGE.ACCEPT': entryOnly,
    'TDH.VP.ENTER': treeExclusive,
  },
  locksOpState: false,
  hostPriority: false,
  unblockLocksPage: true,
  largeAccessDropsTree: true,

  encoding: ENCODING_1_0,
  entryChecks: new Map([
    ['TDH.MEM.SEPT.ADD', [FREE_ONLY]],
    ['TDH.MEM.SEPT.REMOVE', [NO_LEAF, BLOCKED_ONLY]],
    ['TDH.MEM.PAGE.ADD', [FREE_ONLY]],
    ['TDH.MEM.PAGE.AUG', [FREE_ONLY]],
    ['TDH.MEM.PAGE.REMOVE', [LEAF_ONLY, BLOCKED_ONLY]],
    ['TDH.MEM.PAGE.PROMOTE', [NO_LEAF, BLOCKED_ONLY]],
    ['TDH.MEM.PAGE.DEMOTE', [LEAF_ONLY, BLOCKED_ONLY]],
    ['TDH.MEM.PAGE.RELOCATE', [BLOCKED_ONLY]],
    ['TDH.MEM.RANGE.BLOCK', [NOT_FREE]],
    ['TDH.MEM.RANGE.UNBLOCK', [BLOCKED_ONLY]],
    ['TDH.MEM.RD', [MAPPED_ONLY]],
    ['TDH.MEM.WR', [MAPPED_ONLY]],
  ]),
  reporting: new Set([S.EPT_WALK_FAILED, S.EPT_ENTRY_NOT_PRESENT]),
  noLeaf: S.EPT_WALK_FAILED,
  tableNotEmpty: S.EPT_ENTRY_NOT_FREE,
  mergeable: setOf(MAPPED),
  accessChecksGpaFirst: true,
  relocateReturnsPage: false,

  tracksWhileBuilding: true,
  trackingNamesTree: new Set(['TDH.MEM.RANGE.UNBLOCK', 'TDH.MEM.PAGE.RELOCATE']),
  bepochHasFlag: false,

  resetsBepoch: false,
  clearsRemovedTable: true,
  assignsStructuresTwice: true,
  resizesPamtAtOnce: true,
  demoteCountsFirst: true,

  interruptible: new Set(),

  tdcx: { min: 4, max: 4, root: 2, missing: null },
  tdvps: { min: 6, perL2Vm: 0, max: 6, type: TDVPX, wrongNumber: S.TDVPX_NUM_INCORRECT },
  fatal: S.TD_FATAL_1_0,
  /** By what a function requires: UNINITIALIZED, INITIALIZED and RUNNABLE are two flags here. */
  opStateStatuses: new Map([
    [IN_UNINITIALIZED, [S.SUCCESS, S.TD_INITIALIZED, S.TD_INITIALIZED]],
    [IN_INITIALIZED, [S.TD_NOT_INITIALIZED, S.SUCCESS, S.TD_FINALIZED]],
    [IN_RUNNABLE, [S.TD_NOT_INITIALIZED, S.TD_NOT_FINALIZED, S.SUCCESS]],
    [IN_BUILD_OR_RUN, [S.TD_NOT_INITIALIZED, S.SUCCESS, S.SUCCESS]],
  ]),
  limitedCpuid: S.BOOT_NT4_SET,
  addcxChecksFirst: true,
  needsEntropy: false,
  finalizeNeedsVcpu: false,
  measurementWrites: 0,
  tdParamsChecks: TD_PARAMS_1_0,
  attributes: DEBUG | SEPT_VE_DISABLE | PKS | PERFMON,
  writesVcpuHistory: true,

  filterIgnoresVe: true,
  exitResetsFilter: true,
  fatalExits: true,
  restoreFault: 'halt',
  reportsPending: false,
  acceptIsWrite: false,
};
