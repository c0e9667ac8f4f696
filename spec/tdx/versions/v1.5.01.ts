/**
 * Module 1.5.01. Most functions share the tree and lock the one entry that they change; only
 * RANGE.BLOCK, RANGE.UNBLOCK, SEPT.REMOVE, and VP.ENTER while zero-step mitigation is armed, take
 * the tree exclusively.
 *
 * Source: the argument of lock_sept_check_and_walk_private_gpa() in each function of
 * intel/tdx-module 1.5.01, src/vmm_dispatcher/api_calls/; measured:
 * docs/module-notes.md#lock-table.
 */
import { ENCODING_1_5 } from '../encoding.ts';
import { MAPPED, PENDING, setOf } from '../entry.ts';
import { FUNCTIONS } from '../functions/index.ts';
import { TDCX } from '../pamt.ts';
import * as S from '../status.ts';
import { ATTRIBUTES, TD_PARAMS_1_5 } from '../td-params.ts';
import {
  MAX_TDCX,
  MAX_TDVPS_PAGES,
  MIN_TDCX,
  MIN_TDVPS_PAGES,
  ROOT_TDCX,
  TDVPS_PAGES_PER_L2_VM,
} from '../td.ts';
import { entryOnly, exclusive, none, shared, treeExclusive, type VersionData } from '../version.ts';

const { DEBUG, SEPT_VE_DISABLE, MIGRATABLE, PKS, PERFMON } = ATTRIBUTES;
/** MAX_VCPUS is a 16-bit field. */
const ANY_MAX_VCPUS = 0xffff;

export const V1_5_01: VersionData = {
  name: '1.5.01',
  family: '1.5',
  functions: FUNCTIONS,

  versionedCalls: true,
  vpInitVersion: 0,
  tdrFlags: 1,
  enterFlags: 3,

  septLocks: {
    'TDH.MEM.SEPT.ADD': shared,
    'TDH.MEM.SEPT.REMOVE': exclusive,
    'TDH.MEM.SEPT.RD': shared,
    'TDH.MEM.PAGE.ADD': none,
    'TDH.MEM.PAGE.AUG': shared,
    'TDH.MEM.PAGE.REMOVE': shared,
    'TDH.MEM.PAGE.PROMOTE': shared,
    'TDH.MEM.PAGE.DEMOTE': shared,
    'TDH.MEM.PAGE.RELOCATE': shared,
    'TDH.MEM.RANGE.BLOCK': exclusive,
    'TDH.MEM.RANGE.UNBLOCK': exclusive,
    'TDH.MEM.RD': shared,
    'TDH.MEM.WR': shared,
    'TDH.MR.EXTEND': none,
    'TDG.MEM.PAGE.ACCEPT': entryOnly,
    'TDH.VP.ENTER': treeExclusive,
  },
  locksOpState: true,
  hostPriority: true,
  unblockLocksPage: false,
  largeAccessDropsTree: false,
  activeBeforeTreeRelease: true,

  encoding: ENCODING_1_5,
  entryChecks: new Map(),
  reporting: null,
  noLeaf: S.EPT_ENTRY_NOT_PRESENT,
  tableNotEmpty: S.EPT_PAGE_NOT_FREE,
  mergeable: setOf(MAPPED, PENDING),
  accessChecksGpaFirst: false,
  relocateReturnsPage: true,

  tracksWhileBuilding: false,
  trackingNamesTree: new Set(['TDH.MEM.RANGE.UNBLOCK']),
  haltsAtLastEpoch: false,
  bepochHasFlag: true,

  resetsBepoch: true,
  clearsRemovedTable: false,
  assignsStructuresTwice: false,
  resizesPamtAtOnce: false,
  demoteCountsFirst: false,
  dynamicPamt: false,

  interruptible: new Set(['TDH.MEM.PAGE.PROMOTE', 'TDH.MEM.PAGE.DEMOTE']),

  tdcx: { min: MIN_TDCX, max: MAX_TDCX, root: ROOT_TDCX, missing: S.TDCS_NOT_ALLOCATED },
  tdvps: {
    min: MIN_TDVPS_PAGES,
    perL2Vm: TDVPS_PAGES_PER_L2_VM,
    max: MAX_TDVPS_PAGES,
    type: TDCX,
    wrongNumber: S.TDCX_NUM_INCORRECT,
  },
  fatal: S.TD_FATAL,
  opStateStatuses: new Map(),
  limitedCpuid: S.LIMIT_CPUID_MAXVAL_SET,
  addcxChecksFirst: false,
  needsEntropy: true,
  finalizeNeedsVcpu: true,
  measurementWrites: 3,
  tdParamsChecks: TD_PARAMS_1_5,
  maxVcpus: ANY_MAX_VCPUS,
  attributes: DEBUG | SEPT_VE_DISABLE | MIGRATABLE | PKS | PERFMON,
  writesVcpuHistory: false,

  filterIgnoresVe: false,
  exitResetsFilter: false,
  fatalExits: false,
  restoreFault: 'exit',
  reportsPending: true,
  acceptIsWrite: true,

  demoteNeedsBlock: true,
  blockedTablesHide: true,
  blockCoversBelow: false,
};
