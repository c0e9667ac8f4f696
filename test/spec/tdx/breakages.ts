/** Changed modules, with the rule that each breaks and a scenario that shows it. */
import type { ExploreOptions } from '../../support/call-explorer.ts';
import * as faultyLocks from './faulty-locks.ts';
import * as faultyPamt from './faulty-pamt.ts';
import * as faulty from './faulty.ts';

type Setting = Pick<ExploreOptions, 'module' | 'finalize'>;
export type Change = Pick<ExploreOptions, 'functions' | 'create'>;

const RUNNING: Setting = { module: '1.5' };
const BUILDING: Setting = { module: '1.5', finalize: false };
const RUNNING_1_0: Setting = { module: '1.0' };
const RUNNING_DYNAMIC_PAMT: Setting = { module: 'dynamic-pamt' };

/** The rule, the fault, the change, the TD, and a scenario that shows it. */
type Breakage = readonly [
  rule: string,
  fault: string,
  change: Change,
  setting: Setting,
  scenario: string,
];

/** Shown by calls one after the other. */
export const SEQUENTIAL: readonly Breakage[] = [
  [
    'T01',
    'RANGE.BLOCK makes a PENDING page BLOCKED',
    { functions: [faulty.blockAcceptsPages] },
    RUNNING,
    'h0: aug 0; block 0',
  ],
  [
    'T01',
    'PAGE.REMOVE does not require a block in a running TD',
    { functions: [faulty.removeIgnoresBlocking] },
    RUNNING,
    'h0: aug 0; remove 0',
  ],
  [
    'T01',
    'RANGE.BLOCK writes the entry beside its own',
    { functions: [faulty.blockHitsNeighbour] },
    RUNNING,
    'h0: aug 0; block 0',
  ],
  [
    'T01',
    'SEPT.RD changes the entry that it reads',
    { functions: [faulty.readMarksEntry] },
    RUNNING,
    'h0: aug 0; sept-rd 0',
  ],
  [
    'T02',
    'PAGE.AUG walks into another table',
    { functions: [faulty.augInOtherTable] },
    RUNNING,
    'h0: sept-add 2; aug 0',
  ],
  [
    'T03',
    'SEPT.REMOVE does not check the children',
    { functions: [faulty.septRemoveIgnoresChildren] },
    BUILDING,
    'h0: add 1; sept-remove 0; remove 1; sept-remove 0',
  ],
  [
    'T04',
    'PAGE.AUG writes another owner',
    { functions: [faulty.augForgetsOwner] },
    RUNNING,
    'h0: aug 0',
  ],
  [
    'T04',
    'PAGE.AUG takes a page that is in use',
    { functions: [faulty.augTakesAnyPage] },
    RUNNING,
    'h0: aug-other 1; aug 0',
  ],
  [
    'T04',
    'PAGE.RELOCATE keeps the old page',
    { functions: [faulty.relocateKeepsOldPage] },
    BUILDING,
    'h0: add 0; relocate 0',
  ],
  [
    'T05',
    'PAGE.REMOVE skips tracking',
    { functions: [faulty.removeSkipsTracking] },
    RUNNING,
    'h0: aug 0; idle 0; block 0; track 0; remove 0; idle 0; remove 0 | ' +
      'v0: accept 0; idle 0; leave 0; idle 0; idle 0',
  ],
  [
    'T05',
    'VP.ENTER does not flush',
    { functions: [faulty.enterForgetsFlush] },
    RUNNING,
    'h0: aug 0; idle 0; block 0; track 0; idle 0; remove 0 | ' +
      'v0: accept 0; idle 0; leave 0; idle 0; idle 0',
  ],
  [
    'T06',
    'TRACK does not wait',
    { functions: [faulty.trackDoesNotWait] },
    RUNNING,
    'h0: idle 0; track 0; track 0 | v0: idle 0; idle 0',
  ],
  [
    'T06',
    'VP.ENTER does not count the vCPU',
    { functions: [faulty.enterDoesNotCount] },
    RUNNING,
    'v0: touch 0',
  ],
  [
    'T07',
    'PAGE.REMOVE halts for a wrong state',
    { functions: [faulty.removeHalts] },
    RUNNING,
    'h0: remove 0',
  ],
  [
    'T08',
    'PAGE.REMOVE does not count the page out',
    { functions: [faulty.removeDoesNotCount] },
    BUILDING,
    'h0: add 0; remove 0',
  ],
  [
    'T09',
    'PAGE.AUG does not release the tree',
    { functions: [faultyLocks.augKeepsTree] },
    RUNNING,
    'h0: aug 0; idle 0; aug 1 | v0: idle 0; idle 0',
  ],
  [
    'T10',
    'PAGE.AUG does not lock its entry',
    { functions: [faultyLocks.augWithoutEntryLock] },
    RUNNING,
    'h0: aug 0',
  ],
  [
    'T10',
    'RANGE.BLOCK shares the tree',
    { functions: [faultyLocks.blockSharesTree] },
    RUNNING,
    'h0: aug 0; block 0',
  ],
  [
    'T10',
    'PAGE.ADD shares the TDR',
    { functions: [faultyLocks.addSharesTdr] },
    BUILDING,
    'h0: add 0',
  ],
  [
    'T14',
    'ACCEPT does not zero the page',
    { functions: [faulty.acceptDoesNotZero] },
    RUNNING,
    'h0: aug 0; idle 0 | v0: accept 0',
  ],
  [
    'T15',
    'ACCEPT reports an accepted page as a size mismatch',
    { functions: [faulty.acceptMistakesSize] },
    RUNNING,
    'h0: aug 0; idle 0 | v0: accept 0; accept 0; accept-huge 0',
  ],
  [
    'T16',
    'MEM.RD reads a production TD',
    { functions: [faulty.readOfProductionTd] },
    RUNNING,
    'h0: aug 0; idle 0; read 0 | v0: accept 0; idle 0',
  ],
  [
    'T17',
    'PAGE.AUG takes a page of a range without PAMT pages',
    { functions: [faultyPamt.augIgnoresMissingPair] },
    RUNNING_DYNAMIC_PAMT,
    'h0: pamt-remove 0; aug 0',
  ],
  [
    'T17',
    'PAGE.AUG does not count the page in its range',
    { functions: [faultyPamt.augDoesNotCount] },
    RUNNING_DYNAMIC_PAMT,
    'h0: aug 0',
  ],
  [
    'T17',
    'PAGE.AUG takes a page and makes it a PAMT page as well',
    { functions: [faultyPamt.augMakesPamtPage] },
    RUNNING_DYNAMIC_PAMT,
    'h0: aug 0',
  ],
];

/** Shown by two calls at the same time. */
export const CONCURRENT: readonly Breakage[] = [
  [
    'T07',
    'PROMOTE leaves the entries of the freed table unlocked',
    { functions: [faulty.promoteUnlocksChildren] },
    BUILDING,
    'h0: aug 0; aug 1; remove 0 | h1: promote 0',
  ],
  [
    'T09',
    'no lock excludes another actor',
    { create: faultyLocks.nothingExcluded },
    RUNNING_1_0,
    'h0: aug 0 | h1: aug 0',
  ],
  [
    'T11',
    'the tree keeps counting refused readers',
    { create: faultyLocks.refusedReadersCounted },
    RUNNING_1_0,
    'h0: block 0; block 0 | h1: sept-rd 0; sept-rd 0',
  ],
  [
    'T11',
    'RANGE.BLOCK of 1.0 is always busy',
    { functions: [faulty.blockIsAlwaysBusy] },
    RUNNING_1_0,
    'h0: aug 0; block 0 | v0: idle 0; accept 0',
  ],
  [
    'T12',
    'ACCEPT does not reread the entry under the lock',
    { functions: [faulty.acceptActsOnOldEntry] },
    RUNNING,
    'h0: aug 0; idle 0; block 0 | v0: accept 0',
  ],
  [
    'T12',
    'ACCEPT reports an update that failed',
    { functions: [faulty.acceptLosesUpdate] },
    RUNNING_1_0,
    'h0: aug 0; block 0 | v0: idle 0; accept 0',
  ],
  [
    'T13',
    'ACCEPT ignores the host-priority bit',
    { functions: [faulty.acceptIgnoresPriority] },
    RUNNING,
    'h0: aug 0; sept-rd 0 | v0: idle 0; accept 0; accept 0; accept 0',
  ],
  [
    'T13',
    'a refused PAGE.REMOVE does not set the host-priority bit',
    { functions: [faulty.removeDoesNotAsk] },
    RUNNING,
    'h0: aug 0; remove 0 | v0: idle 0; accept 0',
  ],
];
