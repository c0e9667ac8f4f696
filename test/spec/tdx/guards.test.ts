/** What every function refuses, and in which words: its operands, the state of its TD, its locks. */
import { describe, expect, test } from 'vitest';
import { ALL_ONES, HUGE, type Operands } from '../../../spec/tdx/call.ts';
import { ENTRY_LOCK } from '../../../spec/tdx/entry.ts';
import { NDA, Pamt, REG, RSVD } from '../../../spec/tdx/pamt.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { HKID_ASSIGNED, TD, UNINITIALIZED } from '../../../spec/tdx/td.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

type Register = 'rcx' | 'rdx' | 'r8';

interface Row {
  readonly name: string;
  /** Operands with which the call gets past the guards that are tested here. */
  readonly operands: (w: TdRig) => Partial<Operands>;
  /** Registers with a page, which is then looked up in PAMT. */
  readonly pages: readonly Register[];
  /**
   * How far the TD is looked at: not at all, up to its TDCS, up to OP_STATE, or OP_STATE under its
   * lock.
   */
  readonly td: 'none' | 'tdcs' | 'opState' | 'locked';
  /** Levels of the GPA operand, when it has one. */
  readonly levels?: readonly [number, number];
}

/**
 * GFN 0 is free, 1 is a page, 2 and 3 are a huge one, 4 lacks its last table, 8 all of them; the TD
 * is being built, so that every call may be made.
 */
function world(): TdRig {
  const w = new TdRig({ module: '1.5', finalize: false, params: { attributes: 1n } });
  w.addTables(0);
  w.must('TDH.MEM.SEPT.ADD', { ...w.mapping(4, 2), r8: w.address(w.tablePage(4, 2)) });
  w.must('TDH.MEM.PAGE.ADD', { ...w.mapping(1, 0), r8: w.address(w.pageOf(1)), r9: SOURCE });
  w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(2, 1), r8: w.address(w.pageOf(2)) });
  return w;
}
const SOURCE = 0x1000_0000;

const tdr = (w: TdRig): number => w.address(TDR);
const spare = (w: TdRig): number => w.address(w.sparePage(0));
const onEntry = (name: string, gfn: number, levels: readonly [number, number]): Row => ({
  name,
  operands: (w) => w.mapping(gfn, levels[0]),
  pages: ['rdx'],
  td: 'locked',
  levels,
});
const withPage = (row: Row): Row => ({
  ...row,
  operands: (w) => ({ ...row.operands(w), r8: spare(w), r9: SOURCE }),
  pages: ['rdx', 'r8'],
});
const onPage = (name: string, td: Row['td'], operand: (w: TdRig) => number): Row => ({
  name,
  operands: (w) => ({ rcx: operand(w) }),
  pages: ['rcx'],
  td,
});
const tdvpr = (w: TdRig): number => w.address(w.tdvpr(0));

const ROWS: readonly Row[] = [
  withPage(onEntry('TDH.MEM.SEPT.ADD', 4, [1, 3])),
  onEntry('TDH.MEM.SEPT.REMOVE', 0, [1, 3]),
  onEntry('TDH.MEM.SEPT.RD', 0, [0, 3]),
  { ...withPage(onEntry('TDH.MEM.PAGE.ADD', 0, [0, 0])), td: 'opState' },
  withPage(onEntry('TDH.MEM.PAGE.AUG', 0, [0, 1])),
  onEntry('TDH.MEM.PAGE.REMOVE', 1, [0, 2]),
  onEntry('TDH.MEM.PAGE.PROMOTE', 0, [1, 2]),
  withPage(onEntry('TDH.MEM.PAGE.DEMOTE', 2, [1, 2])),
  withPage(onEntry('TDH.MEM.PAGE.RELOCATE', 1, [0, 0])),
  onEntry('TDH.MEM.RANGE.BLOCK', 1, [0, 3]),
  onEntry('TDH.MEM.RANGE.UNBLOCK', 1, [0, 3]),
  { name: 'TDH.MEM.RD', operands: (w) => w.mapping(1, 0), pages: ['rdx'], td: 'locked' },
  { name: 'TDH.MEM.WR', operands: (w) => w.mapping(1, 0), pages: ['rdx'], td: 'locked' },
  { name: 'TDH.MR.EXTEND', operands: (w) => w.mapping(1, 0), pages: ['rdx'], td: 'opState' },
  onPage('TDH.MEM.TRACK', 'locked', tdr),
  onPage('TDH.MR.FINALIZE', 'opState', tdr),
  onPage('TDH.MNG.KEY.CONFIG', 'none', tdr),
  onPage('TDH.MNG.INIT', 'tdcs', tdr),
  onPage('TDH.MNG.VPFLUSHDONE', 'none', tdr),
  onPage('TDH.MNG.KEY.FREEID', 'none', tdr),
  onPage('TDH.MNG.RD', 'locked', tdr),
  { ...onPage('TDH.MNG.CREATE', 'none', spare), operands: (w) => ({ rcx: spare(w), rdx: 33 }) },
  {
    name: 'TDH.MNG.ADDCX',
    operands: (w) => ({ rcx: spare(w), rdx: tdr(w) }),
    pages: ['rdx', 'rcx'],
    td: 'none',
  },
  {
    name: 'TDH.VP.CREATE',
    operands: (w) => ({ rcx: spare(w), rdx: tdr(w) }),
    pages: ['rdx', 'rcx'],
    td: 'locked',
  },
  {
    name: 'TDH.VP.ADDCX',
    operands: (w) => ({ rcx: spare(w), rdx: tdvpr(w) }),
    pages: ['rdx'],
    td: 'locked',
  },
  onPage('TDH.VP.INIT', 'locked', tdvpr),
  onPage('TDH.VP.FLUSH', 'none', tdvpr),
  onPage('TDH.VP.ENTER', 'locked', tdvpr),
  onPage('TDH.PHYMEM.PAGE.RECLAIM', 'none', tdvpr),
  onPage('TDH.PHYMEM.PAGE.RDMD', 'none', tdvpr),
  onPage('TDH.PHYMEM.PAGE.WBINVD', 'none', spare),
];

const status = (w: TdRig, row: Row, change: Partial<Operands> = {}): string =>
  describeStatus(w.call(row.name, { ...row.operands(w), ...change }).status);
const page = (w: TdRig, row: Row, register: Register): number =>
  (row.operands(w)[register] ?? 0) / 4096;
const setTd = (w: TdRig, field: number, value: number): void =>
  w.m.poke(w.memory.word(TDR, field), value);

/** Its page may be of any type. */
const TAKES_ANY_TYPE = 'TDH.PHYMEM.PAGE.RDMD';
/** It strips HKID bits instead of refusing them. */
const STRIPS_HKID = 'TDH.PHYMEM.PAGE.WBINVD';
/** It takes pages of any size. */
const TAKES_ANY_SIZE = 'TDH.PHYMEM.PAGE.RECLAIM';
/** It has the TD to itself, and locks neither tree nor entry. */
const TAKES_NO_ENTRY_LOCK = 'TDH.MEM.PAGE.ADD';

describe.for(ROWS.flatMap((row) => row.pages.map((register) => ({ ...row, register }))))(
  '$name: the page in $register',
  (row) => {
    const { name, register } = row;
    const operand = register.toUpperCase();
    const refused = (w: TdRig, value: number): string => status(w, row, { [register]: value });

    test('is 4 KiB aligned, without HKID, and below 2^52', () => {
      const w = world();
      const hpa = row.operands(w)[register] ?? 0;
      const bad = [hpa + 0x800, HUGE, ALL_ONES, ...(name === STRIPS_HKID ? [] : [hpa + 2 ** 46])];
      for (const value of bad) expect(refused(w, value)).toBe(`TDX_OPERAND_INVALID|${operand}`);
    });
    test('is covered by the TDMR', () => {
      const w = world();
      expect(refused(w, w.address(w.memory.pages))).toBe(`TDX_OPERAND_ADDR_RANGE_ERROR|${operand}`);
    });
    test.for([0, 1, 2])('is not locked by somebody else, at size %i', (size) => {
      const w = world();
      const lock = w.tdx.pamt.lock(page(w, row, register), size);
      w.m.poke(lock, 1);
      expect(status(w, row)).toBe(`TDX_OPERAND_BUSY|${operand}`);
      expect(w.m.peek(lock) & 3, 'a refused host asks for priority').toBe(3);
    });
    if (name !== TAKES_ANY_TYPE)
      test('is of the right type and size', () => {
        const w = world();
        const { pamt } = w.tdx;
        const number = page(w, row, register);
        w.m.poke(pamt.meta(number, 0), Pamt.pack(RSVD, TDR));
        expect(status(w, row)).toBe(`TDX_PAGE_METADATA_INCORRECT|${operand}`);
        w.m.poke(pamt.meta(number, 0), Pamt.pack(NDA, TDR));
        w.m.poke(pamt.meta(number, 1), Pamt.pack(REG, TDR));
        expect(status(w, row)).toBe(
          name === TAKES_ANY_SIZE
            ? 'TDX_LIFECYCLE_STATE_INCORRECT'
            : `TDX_PAGE_METADATA_INCORRECT|${operand}`,
        );
        expect(w.m.peek(pamt.lock(number, 1)), 'it lets go of its walk').toBe(0);
      });
  },
);

/** What a TD can be wrong in: how, the answer, and how far a function has to look to see it. */
const TD_FAULTS: readonly (readonly [string, number, number, readonly Row['td'][]])[] = [
  ['TDX_TD_FATAL', TD.FATAL, 1, ['tdcs', 'opState', 'locked']],
  ['TDX_TD_KEYS_NOT_CONFIGURED', TD.LIFECYCLE, HKID_ASSIGNED, ['tdcs', 'opState', 'locked']],
  ['TDX_TDCS_NOT_ALLOCATED', TD.NUM_TDCX, 3, ['tdcs', 'opState', 'locked']],
  ['TDX_OPERAND_BUSY|OP_STATE', TD.OP_STATE_LOCK, 1, ['locked']],
  ['TDX_OP_STATE_INCORRECT', TD.OP_STATE, UNINITIALIZED, ['opState', 'locked']],
];

describe.for(TD_FAULTS)('%s', ([answer, field, value, seenBy]) => {
  test.for(ROWS.filter(({ td }) => seenBy.includes(td)))('$name', (row) => {
    const w = world();
    setTd(w, field, value);
    expect(status(w, row)).toBe(answer);
  });
});

describe.for(ROWS.filter(({ levels }) => levels !== undefined))('$name: the GPA', (row) => {
  const [lowest, highest] = row.levels ?? [0, 0];

  test('has a level that the function takes, no reserved bits, and is aligned, private and below 2^52', () => {
    const w = world();
    const { rcx = 0 } = row.operands(w);
    const bad = [
      rcx - lowest + highest + 1,
      rcx + 8,
      rcx + 2 ** 52,
      HUGE,
      rcx + 2 ** 47,
      ...(lowest > 0 ? [rcx - 1, rcx + 4096] : []),
    ];
    for (const value of bad) expect(status(w, row, { rcx: value })).toBe('TDX_OPERAND_INVALID|RCX');
  });
  test('is reached by the tree', () => {
    const w = world();
    const far = w.mapping(8, 0).rcx + lowest;
    expect(status(w, row, { rcx: far })).toBe('TDX_EPT_WALK_FAILED|RCX');
  });
  if (row.name !== TAKES_NO_ENTRY_LOCK)
    test('has an entry and a tree that nobody has locked', () => {
      const w = world();
      const gfn = Math.floor((row.operands(w).rcx ?? 0) / 4096);
      const cell = w.memory.word(
        tableAt(w.tdx, TDR, gfn, lowest),
        w.tdx.geometry.index(gfn, lowest),
      );
      w.m.poke(cell, w.m.peek(cell) | ENTRY_LOCK);
      expect(status(w, row)).toBe('TDX_OPERAND_BUSY|RCX');
      setTd(w, TD.SEPT_LOCK, 1);
      expect(status(w, row)).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    });
});
