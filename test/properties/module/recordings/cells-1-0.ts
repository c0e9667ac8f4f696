/**
 * Hand-made cells of the kinds that only module 1.0.03 was recorded with, and of lock tables, with
 * the statuses of the real module. Tests alter them.
 */
import type { Fields } from './cells.ts';
import { ACCEPT } from './races.ts';

const BLOCK = 'TDH.MEM.RANGE.BLOCK';
const ENTER = 'TDH.VP.ENTER';
const TRACK = 'TDH.MEM.TRACK';

const pair = { opState: 'RUNNABLE', relation: 'sameEntry' };

/** RANGE.BLOCK finds that a guest has accepted the page after the walk: its exchange fails. */
export const exchange = (): Fields => ({
  ...pair,
  x: BLOCK,
  y: ACCEPT,
  xEntry: 'PENDING@L0',
  yEntry: 'PENDING@L0',
  xEventIndex: null,
  xEvent: {
    event: 'beforeCompareExchange',
    number: 1,
    what: 'SEPT_ENTRY[page=0x100202000,idx=0]',
    value: '0x80000001002038f0',
  },
  yStatus: 'TDX_SUCCESS',
  xStatusAfterResume: 'TDX_OPERAND_BUSY|RCX',
  yAlone: 'TDX_SUCCESS',
  yAfterX: 'TD_EXIT(48)',
  xAlone: 'TDX_SUCCESS',
  xAfterY: 'TDX_SUCCESS',
  entryAtPause: '0x80000001002038f0',
  entryBefore: '0x80000001002038f0',
  entryAfter: '0x80000001002030f7',
  linearizable: true,
  lockLeak: false,
});

export const exchanges = (): Fields => ({
  ...pair,
  summary: true,
  points: 'beforeCompareExchange',
  x: BLOCK,
  y: ACCEPT,
  xEntry: 'PENDING@L0',
  yEntry: 'PENDING@L0',
  events: 1,
  eventsTried: 1,
  rowsKept: 1,
  unchanged: 0,
  nonAtomicRows: 0,
});

/** VP.ENTER is refused for the epoch, but associates its vCPU: no order of the two explains it. */
export const read = (): Fields => ({
  ...pair,
  x: TRACK,
  y: ENTER,
  xEntry: '-',
  yEntry: null,
  xEvent: {
    event: 'beforeRead',
    number: 8,
    what: 'TD_EPOCH/REFCOUNT cell',
    value: '0x0000000000000001',
  },
  yStatus: 'TDX_OPERAND_BUSY|TD_EPOCH',
  xStatusAfterResume: 'TDX_SUCCESS',
  yAlone: 'TDX_SUCCESS',
  yAfterX: 'TDX_SUCCESS',
  xAlone: 'TDX_SUCCESS',
  xAfterY: 'TDX_SUCCESS',
  linearizable: false,
});

export const reads = (): Fields => ({
  ...pair,
  summary: true,
  points: 'beforeRead',
  x: ENTER,
  y: TRACK,
  xEntry: '-',
  reads: 37,
  eventsTried: 37,
  changed: 1,
  nonAtomicRows: 0,
});

const shared = (event: string, lock: string): Fields => ({
  event,
  lock,
  kind: 'SHARED',
  type: 'sharex',
});
const TREE = 'TD0.SEPT_TREE';
const TDR_WALK = ['PAMT_1G[0x100000000]', 'PAMT_2M[0x100000000]', 'PAMT_4K[TDR0]'] as const;

/** RANGE.BLOCK takes the tree exclusively, and releases the TDR before it. */
export const locks = (): Fields => ({
  function: BLOCK,
  case: '4K',
  opState: 'RUNNABLE',
  entryState: 'MAPPED@L0',
  status: 'TDX_SUCCESS',
  events: [
    ...TDR_WALK.map((lock) => shared('acquire', lock)),
    { ...shared('acquire', TREE), kind: 'EXCLUSIVE' },
    ...TDR_WALK.toReversed().map((lock) => shared('release', lock)),
    { ...shared('release', TREE), kind: 'EXCLUSIVE' },
  ],
  releasedByEntryWrite: [],
  releasedByEntryWriteCount: 0,
  stillHeldOnReturn: [],
  busy: [
    {
      lock: 'PAMT_4K[TDR0]',
      kind: 'SHARED',
      ifHeldExclusively: 'TDX_OPERAND_BUSY|RDX',
      ifHeldShared: 'TDX_SUCCESS',
      failedLockExclusive: 'PAMT_4K[TDR0]',
    },
    {
      lock: TREE,
      kind: 'EXCLUSIVE',
      ifHeldExclusively: 'TDX_OPERAND_BUSY|SEPT_TREE',
      ifHeldShared: 'TDX_OPERAND_BUSY|SEPT_TREE',
      failedLockExclusive: TREE,
    },
  ],
});

const TDVPR_WALK = [
  'PAMT_1G[0x100000000]',
  'PAMT_2M[0x100000000]',
  'PAMT_4K[TDVPR0.0]',
  'PAMT_4K[TDR0]',
] as const;
const EPOCH = 'TD0.TD_EPOCH';

/** VP.ENTER returns with its vCPU in the guest: it keeps the TDVPR and the TDR locked. */
export const lifecycleLocks = (): Fields => ({
  function: ENTER,
  case: 'success',
  tdStage: 'RUNNABLE, VCPU associated', // as recordings spell it
  status: 'TDX_SUCCESS',
  events: [
    ...TDVPR_WALK.map((lock) => shared('acquire', lock)),
    shared('acquire', EPOCH),
    shared('release', EPOCH),
  ],
  stillHeldOnReturn: TDVPR_WALK.map((lock) => [lock, 'SHARED']),
  busy: [
    {
      lock: EPOCH,
      kind: 'SHARED',
      ifHeldExclusively: 'TDX_OPERAND_BUSY|TD_EPOCH',
      ifHeldShared: 'TDX_SUCCESS',
    },
  ],
  writes: [
    {
      what: 'TD_EPOCH/REFCOUNT cell',
      old: '0x0000000000000000',
      new: '0x0000000000010000',
    },
    { what: 'TDVPS0.VCPU_EPOCH', old: '0x0000000000000000', new: '0x0000000000000001' },
    { what: 'TDVPS0.STATE', old: '0x0005000000000002', new: '0x0005000000000004' },
    { what: 'TDVPS0.STATE', old: '0x0005000000000004', new: '0x0005000000000104' },
  ],
});
