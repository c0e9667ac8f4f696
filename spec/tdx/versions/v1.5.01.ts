/**
 * Module 1.5.01. Most functions share the tree and lock the one entry that they change; only
 * RANGE.BLOCK, RANGE.UNBLOCK, SEPT.REMOVE, and VP.ENTER while zero-step mitigation is armed, take
 * the tree exclusively.
 *
 * Source: the argument of lock_sept_check_and_walk_private_gpa() in each function of
 * intel/tdx-module 1.5.01, src/vmm_dispatcher/api_calls/; measured:
 * docs/module-notes.md#lock-table.
 */
import { FUNCTIONS } from '../functions/index.ts';
import { entryOnly, exclusive, none, shared, treeExclusive, type VersionData } from '../version.ts';

/** MAX_VCPUS is a 16-bit field. */
const ANY_MAX_VCPUS = 0xffff;

export const V1_5_01: VersionData = {
  name: '1.5.01',
  family: '1.5',
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
  functions: FUNCTIONS,
  unblockTrackingOperand: 'SEPT_TREE',
  activeBeforeTreeRelease: true,
  vpInitVersion: 0,
  maxVcpus: ANY_MAX_VCPUS,
  attributes: 0n,
  demoteNeedsBlock: true,
  interruptibleDemote: true,
};
