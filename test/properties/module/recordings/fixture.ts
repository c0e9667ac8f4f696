/**
 * A short sequential recording: a TD gets its tables and a page; the page is blocked, tracked and
 * unblocked.
 */
type Fields = Record<string, unknown>;
/** A scenario that tests may alter. */
export interface Fixture {
  id: string;
  config: Fields;
  steps: (Fields & {
    in: Fields;
    out?: Fields;
    sept?: Fields;
    septBefore?: Fields;
    epoch?: Fields;
  })[];
  final: { tds: Fields[]; pamt: Fields[] };
}

const TDR = '0x100000000';
const FREE = { state: 'FREE', raw: '0x80e0000000000000' };
const view = (level: number, { state, raw }: { state: string; raw: string }): Fields => ({
  level,
  state,
  raw,
});
const mapped = { state: 'MAPPED', raw: '0x80000001002030f7' };
const blocked = { state: 'BLOCKED', raw: '0x80800001002030f0' };

const after = (tdEpoch: number, chldcnt: number): Fields => ({
  epoch: { tdEpoch, refcount: [0, 0] },
  opState: 'INITIALIZED',
  chldcnt,
});
const returned = {
  result: 'RETURN',
  status: '0x0000000000000000',
  statusName: 'TDX_SUCCESS',
  operandId: null,
};
const zero = { rcx: '0x0', rdx: '0x0' };

const septAdd = (i: number, gpa: string, level: number, hpa: string): Fixture['steps'][number] => ({
  i,
  op: 'TDH.MEM.SEPT.ADD',
  lp: 4,
  vcpu: null,
  in: {
    td: 0,
    gpa,
    level,
    hpa,
    version: 0,
    regs: { rcx: `0x${(Number(gpa) + level).toString(16)}`, rdx: TDR, r8: hpa },
  },
  ...returned,
  out: zero,
  septBefore: view(level, FREE),
  sept: view(level, { state: 'NL_MAPPED', raw: `0x80000001002${hpa.slice(-5, -3)}007` }),
  ...after(1, 13 + i),
});

const range = (
  i: number,
  op: string,
  before: Fields,
  now: Fields,
  tdEpoch: number,
): Fixture['steps'][number] => ({
  i,
  op,
  lp: 5,
  vcpu: null,
  in: { td: 0, gpa: '0x40000000', level: 0, regs: { rcx: '0x40000000', rdx: TDR } },
  ...returned,
  out: zero,
  septBefore: before,
  sept: now,
  ...after(tdEpoch, 16),
});

const pamt = (
  hpa: string,
  type: string,
  owner: string,
  bepoch: number,
  count?: number,
): Fields => ({ hpa, size: '4K', type, owner, bepoch, ...(count === undefined ? {} : { count }) });

/** A fresh copy. */
export const fixture = (): Fixture => ({
  id: 'own-0',
  config: {
    module: 'TDX 1.5.01',
    septLevels: 4,
    gpaw: 0,
    debug: 0,
    septVeDisable: 1,
    numL2Vms: 0,
    tdmr: { base: '0x100000000', size: '0x100000000' },
    hkidBits: [46, 51],
    maxPa: 52,
    tds: [
      {
        td: 0,
        tdr: TDR,
        tdcx: ['0x100001000', 6],
        septRoot: '0x100004000',
        hkid: 34,
        tdvpr: ['0x100010000'],
      },
    ],
    reservedPage: '0x1005ff000',
  },
  steps: [
    septAdd(0, '0x0', 3, '0x100200000'),
    septAdd(1, '0x40000000', 2, '0x100201000'),
    septAdd(2, '0x40000000', 1, '0x100202000'),
    {
      i: 3,
      op: 'TDH.MEM.PAGE.ADD',
      lp: 4,
      vcpu: null,
      in: {
        td: 0,
        gpa: '0x40000000',
        level: 0,
        hpa: '0x100203000',
        regs: { rcx: '0x40000000', rdx: TDR, r8: '0x100203000', r9: '0x10000000' },
      },
      ...returned,
      out: zero,
      septBefore: view(0, FREE),
      sept: view(0, mapped),
      ...after(1, 16),
    },
    range(4, 'TDH.MEM.RANGE.BLOCK', view(0, mapped), view(0, blocked), 1),
    {
      i: 5,
      op: 'TDH.MEM.TRACK',
      lp: 6,
      vcpu: null,
      in: { td: 0, regs: { rcx: TDR } },
      ...returned,
      out: { rcx: TDR, rdx: '0x0' },
      ...after(2, 16),
    },
    range(6, 'TDH.MEM.RANGE.UNBLOCK', view(0, blocked), view(0, mapped), 2),
  ],
  final: {
    tds: [
      {
        td: 0,
        opState: 'INITIALIZED',
        lifecycle: 'KEYS_CONFIGURED',
        chldcnt: 16,
        epoch: { tdEpoch: 2, refcount: [0, 0] },
        locks: { septTree: 0, opState: 0, epoch: 0 },
        vcpus: [{ state: 2, vcpuEpoch: 0, assocLp: -1 }],
        sept: [
          {
            gpa: '0x0',
            level: 3,
            raw: '0x8000000100200007',
            state: 'NL_MAPPED',
            hpa: '0x100200000',
          },
          {
            gpa: '0x40000000',
            level: 2,
            raw: '0x8000000100201007',
            state: 'NL_MAPPED',
            hpa: '0x100201000',
          },
          {
            gpa: '0x40000000',
            level: 1,
            raw: '0x8000000100202007',
            state: 'NL_MAPPED',
            hpa: '0x100202000',
          },
          {
            gpa: '0x40000000',
            level: 0,
            raw: '0x80000001002030f7',
            state: 'MAPPED',
            hpa: '0x100203000',
          },
        ],
      },
    ],
    pamt: [
      pamt(TDR, 'TDR', '0x0', 0),
      pamt('0x100001000', 'TDCX', TDR, 0, 6),
      pamt('0x100010000', 'TDVPR', TDR, 0),
      pamt('0x100011000', 'TDCX', TDR, 0, 5),
      pamt('0x100200000', 'EPT', TDR, 0, 3),
      pamt('0x100203000', 'REG', TDR, 1),
      pamt('0x1005ff000', 'RSVD', '0x0', 0),
    ],
  },
});

/** The item of a list. @throws Error if there is none */
export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}
