/**
 * Version 1.0 as the module's base specification words it, which the question of January 2023
 * quotes, on the functions of 1.5. Functions that manage the Secure EPT take the whole tree
 * exclusively, functions that read it take it shared, and a function updates an entry that a guest
 * may update at the same time by a compare-and-exchange transaction instead of under an entry
 * lock.
 *
 * Source: thread, message 16.
 */
import { none, treeExclusive, treeShared, type VersionData } from '../version.ts';
import { V1_5_01 } from './v1.5.01.ts';

export const V1_0: VersionData = {
  ...V1_5_01,
  name: '1.0',
  family: '1.0',
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
    'TDG.MEM.PAGE.ACCEPT': none,
    'TDH.VP.ENTER': treeExclusive,
  },
};
