/** Hand-made cells, one of each kind, with the statuses of the real module. Tests alter them. */
import { AUG } from './races.ts';

export type Fields = Record<string, unknown>;

/** PAGE.AUG holds its locks on a FREE entry; RANGE.BLOCK of that entry finds the tree locked. */
export const conflict = (): Fields => ({
  x: AUG,
  y: 'TDH.MEM.RANGE.BLOCK',
  relation: 'sameEntry',
  opState: 'RUNNABLE',
  xEntry: 'FREE@L0',
  yEntry: 'FREE@L0',
  xLocksHeldAtPause: 9,
  xAlone: 'TDX_SUCCESS',
  yAlone: 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX',
  yStatus: 'TDX_OPERAND_BUSY|SEPT_TREE',
  yStatusRaw: '0x8000020000000092',
  yFailedLock: 'TD0.SEPT_TREE',
  yFailedLockKind: 'EXCLUSIVE',
  blockedByX: true,
  xStatusAfterResume: 'TDX_SUCCESS',
  entryWhilePaused: '0x80e0000000000800',
  entryAfter: '0x81000001003800f0',
});

/** Two TDs are created at the same time: the second finds the key ownership table locked. */
export const lifecycle = (): Fields => ({
  x: 'TDH.MNG.CREATE',
  y: 'TDH.MNG.CREATE',
  relation: 'otherTD',
  tdStageX: 'TDR page free',
  tdStageY: 'TDR page free',
  xLocksHeldAtPause: 4,
  xAlone: 'TDX_SUCCESS',
  yAlone: 'TDX_SUCCESS',
  yStatus: 'TDX_OPERAND_BUSY|KOT',
  yFailedLock: 'KOT',
  yFailedLockKind: 'EXCLUSIVE',
  blockedByX: true,
  xStatusAfterResume: 'TDX_SUCCESS',
  xChanged: false,
});

/** PAGE.REMOVE runs between PAGE.AUG's writes of the entry and of PAMT. */
export const step = (): Fields => ({
  x: AUG,
  y: 'TDH.MEM.PAGE.REMOVE',
  relation: 'sameEntry',
  opState: 'INITIALIZED',
  xEntry: 'FREE@L0',
  yEntry: 'FREE@L0',
  xEventIndex: 28,
  xEvent: {
    event: 'afterWrite',
    what: 'SEPT_ENTRY[page=0x100202000,idx=0]',
    old: '0x80e0000000000800',
    new: '0x81000001003800f0',
  },
  yStatus: 'MODULE_HALT (UD2 0 0)',
  xStatusAfterResume: 'TDX_SUCCESS',
  yAlone: 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX',
  yAfterX: 'TDX_SUCCESS',
  xAlone: 'TDX_SUCCESS',
  xAfterY: 'TDX_SUCCESS',
  entryBefore: '0x80e0000000000000',
  entryAtPause: '0x81000001003800f0',
  entryAfter: '0x81000001003808f0',
  linearizable: false,
  lockLeak: 'halted',
});

export const summary = (): Fields => ({
  summary: true,
  x: AUG,
  y: 'TDH.MEM.PAGE.REMOVE',
  relation: 'sameEntry',
  opState: 'INITIALIZED',
  xEntry: 'FREE@L0',
  yEntry: 'FREE@L0',
  events: 47,
  eventsTried: 47,
  rowsKept: 31,
  unchanged: 16,
  nonAtomicRows: 2,
});

/** MR.EXTEND takes its three locks and releases them. */
export const order = (): Fields => ({
  x: 'TDH.MR.EXTEND',
  opState: 'INITIALIZED',
  xEntry: 'MAPPED@L0',
  status: 'TDX_SUCCESS',
  events: [
    { i: 3, event: 'afterAcquire', what: 'PAMT_1G[0x100000000]', kind: 'SHARED' },
    { i: 6, event: 'afterAcquire', what: 'PAMT_2M[0x100000000]', kind: 'SHARED' },
    { i: 9, event: 'afterAcquire', what: 'PAMT_4K[TDR0]', kind: 'EXCLUSIVE' },
    { i: 10, event: 'beforeRelease', what: 'PAMT_4K[TDR0]', kind: 'EXCLUSIVE' },
    { i: 12, event: 'beforeRelease', what: 'PAMT_2M[0x100000000]', kind: 'SHARED' },
    { i: 14, event: 'beforeRelease', what: 'PAMT_1G[0x100000000]', kind: 'SHARED' },
  ],
});
