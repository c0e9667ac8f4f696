/**
 * What if the module locked the parts of the Secure EPT that it uses, and not the tree? The guess
 * of the question (thread, message 15): "read-lock only the part of the tree that it's actually
 * consuming, and write-lock only the part of the tree that it's actually modifying". The rest is
 * 1.5.05.
 *
 * The part that a call consumes are the tables that its walk reads, from the root down to the one
 * with its entry: each is locked shared before it is read, and all of them until the call ends. If
 * a call released a table once it is past it, SEPT.REMOVE could free that table's child while the
 * call is in it. The part that it modifies is its entry, and with it, where RANGE.BLOCK,
 * RANGE.UNBLOCK, SEPT.REMOVE or PAGE.PROMOTE change an entry that points to a table, that table:
 * exclusively. So two calls meet only if one changes an entry on the way of the other, or both
 * change the same one. A lock for each table with all of its entries would be coarser: faults on
 * neighbouring pages would exclude each other, as they do not in 1.5.
 *
 * The lock of a table is the one that its page has in PAMT already, and which SEPT.ADD, DEMOTE,
 * SEPT.REMOVE and PROMOTE take exclusively in 1.5; that of an entry is its bit 11. ACCEPT takes the
 * entry's lock alone, as in 1.5: the REFCOUNT of its vCPU keeps the tables. VP.ENTER under
 * zero-step mitigation only reads the tree.
 */
import { HELD_BELOW, HELD_PATHS, HELD_TREE } from '../../call.ts';
import type { InterfaceFunction } from '../../module.ts';
import {
  entryOnly,
  none,
  pathAndEntry,
  pathOnly,
  pathToBelow,
  type VersionData,
} from '../../version.ts';
import { V1_5_05 } from '../v1.5.05.ts';

/** The function, which releases the tables where it released the tree. */
const withPath = (fn: InterfaceFunction): InterfaceFunction => ({
  ...fn,
  release: fn.release.flatMap((role) =>
    role === HELD_TREE ? [HELD_BELOW, ...HELD_PATHS, HELD_TREE] : [role],
  ),
});

export const FINE_GRAINED: VersionData = {
  ...V1_5_05,
  name: 'fine-grained',
  functions: new Map([...V1_5_05.functions].map(([name, fn]) => [name, withPath(fn)])),
  septLocks: {
    'TDH.MEM.SEPT.ADD': pathAndEntry,
    // locks the table below in PAMT, as in 1.5
    'TDH.MEM.SEPT.REMOVE': pathAndEntry,
    'TDH.MEM.SEPT.RD': pathAndEntry,
    'TDH.MEM.PAGE.ADD': none,
    'TDH.MEM.PAGE.AUG': pathAndEntry,
    'TDH.MEM.PAGE.REMOVE': pathAndEntry,
    // likewise
    'TDH.MEM.PAGE.PROMOTE': pathAndEntry,
    'TDH.MEM.PAGE.DEMOTE': pathAndEntry,
    'TDH.MEM.PAGE.RELOCATE': pathAndEntry,
    'TDH.MEM.RANGE.BLOCK': pathToBelow,
    'TDH.MEM.RANGE.UNBLOCK': pathToBelow,
    'TDH.MEM.RD': pathAndEntry,
    'TDH.MEM.WR': pathAndEntry,
    'TDH.MR.EXTEND': none,
    'TDG.MEM.PAGE.ACCEPT': entryOnly,
    'TDH.VP.ENTER': pathOnly,
  },
};
