/**
 * What every function refuses, and with which status: its operands, the state of its TD, its locks.
 * Source: docs/module-notes.md#operand-checks.
 */
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
  /** Operands with which the call passes the guards that are tested here. */
  readonly operands: (rig: TdRig) => Partial<Operands>;
  /** Registers that hold a page operand, which is looked up in PAMT. */
  readonly pages: readonly Register[];
  /** The last check of the TD: none, its TDCS, OP_STATE, or OP_STATE under its lock. */
  readonly td: 'none' | 'tdcs' | 'opState' | 'locked';
  /** Levels of the GPA operand, if the function has one. */
  readonly levels?: readonly [number, number];
}

/**
 * A TD that is being built, so that every function is legal. GFN 0 is free, 1 is a page, 2 and 3
 * are a huge one, 4 lacks its last table, 8 all of them.
 */
function newRig(): TdRig {
  const rig = new TdRig({ module: '1.5', finalize: false, params: { attributes: 1n } });
  rig.addTables(0);
  rig.must('TDH.MEM.SEPT.ADD', { ...rig.mapping(4, 2), r8: rig.address(rig.tablePage(4, 2)) });
  rig.must('TDH.MEM.PAGE.ADD', {
    ...rig.mapping(1, 0),
    r8: rig.address(rig.pageOf(1)),
    r9: SOURCE,
  });
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(2, 1), r8: rig.address(rig.pageOf(2)) });
  return rig;
}
const SOURCE = 0x1000_0000;

const tdr = (rig: TdRig): number => rig.address(TDR);
const spare = (rig: TdRig): number => rig.address(rig.sparePage(0));
const onEntry = (name: string, gfn: number, levels: readonly [number, number]): Row => ({
  name,
  operands: (rig) => rig.mapping(gfn, levels[0]),
  pages: ['rdx'],
  td: 'locked',
  levels,
});
const withPage = (row: Row): Row => ({
  ...row,
  operands: (rig) => ({ ...row.operands(rig), r8: spare(rig), r9: SOURCE }),
  pages: ['rdx', 'r8'],
});
const onPage = (name: string, td: Row['td'], operand: (rig: TdRig) => number): Row => ({
  name,
  operands: (rig) => ({ rcx: operand(rig) }),
  pages: ['rcx'],
  td,
});
const tdvpr = (rig: TdRig): number => rig.address(rig.tdvpr(0));

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
  { name: 'TDH.MEM.RD', operands: (rig) => rig.mapping(1, 0), pages: ['rdx'], td: 'locked' },
  { name: 'TDH.MEM.WR', operands: (rig) => rig.mapping(1, 0), pages: ['rdx'], td: 'locked' },
  { name: 'TDH.MR.EXTEND', operands: (rig) => rig.mapping(1, 0), pages: ['rdx'], td: 'opState' },
  onPage('TDH.MEM.TRACK', 'locked', tdr),
  onPage('TDH.MR.FINALIZE', 'opState', tdr),
  onPage('TDH.MNG.KEY.CONFIG', 'none', tdr),
  onPage('TDH.MNG.INIT', 'tdcs', tdr),
  onPage('TDH.MNG.VPFLUSHDONE', 'none', tdr),
  onPage('TDH.MNG.KEY.FREEID', 'none', tdr),
  onPage('TDH.MNG.RD', 'locked', tdr),
  { ...onPage('TDH.MNG.CREATE', 'none', spare), operands: (rig) => ({ rcx: spare(rig), rdx: 33 }) },
  {
    name: 'TDH.MNG.ADDCX',
    operands: (rig) => ({ rcx: spare(rig), rdx: tdr(rig) }),
    pages: ['rdx', 'rcx'],
    td: 'none',
  },
  {
    name: 'TDH.VP.CREATE',
    operands: (rig) => ({ rcx: spare(rig), rdx: tdr(rig) }),
    pages: ['rdx', 'rcx'],
    td: 'locked',
  },
  {
    name: 'TDH.VP.ADDCX',
    operands: (rig) => ({ rcx: spare(rig), rdx: tdvpr(rig) }),
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

const status = (rig: TdRig, row: Row, change: Partial<Operands> = {}): string =>
  describeStatus(rig.call(row.name, { ...row.operands(rig), ...change }).status);
const page = (rig: TdRig, row: Row, register: Register): number =>
  (row.operands(rig)[register] ?? 0) / 4096;
const setTd = (rig: TdRig, field: number, value: number): void =>
  rig.m.poke(rig.memory.word(TDR, field), value);

/** It accepts a page of any type. */
const TAKES_ANY_TYPE = 'TDH.PHYMEM.PAGE.RDMD';
/** It strips HKID bits instead of refusing them. */
const STRIPS_HKID = 'TDH.PHYMEM.PAGE.WBINVD';
/** It accepts pages of any size. */
const TAKES_ANY_SIZE = 'TDH.PHYMEM.PAGE.RECLAIM';
/** It holds the TDR exclusively, and locks neither tree nor entry. */
const TAKES_NO_ENTRY_LOCK = 'TDH.MEM.PAGE.ADD';

describe.for(ROWS.flatMap((row) => row.pages.map((register) => ({ ...row, register }))))(
  '$name: the page in $register',
  (row) => {
    const { name, register } = row;
    const operand = register.toUpperCase();
    const refused = (rig: TdRig, value: number): string => status(rig, row, { [register]: value });

    test(`${name} refuses a page in ${operand} that is misaligned, too high or has an HKID`, () => {
      const rig = newRig();
      const hpa = row.operands(rig)[register] ?? 0;
      const bad = [hpa + 0x800, HUGE, ALL_ONES, ...(name === STRIPS_HKID ? [] : [hpa + 2 ** 46])];
      for (const value of bad) expect(refused(rig, value)).toBe(`TDX_OPERAND_INVALID|${operand}`);
    });
    test(`${name} refuses a page in ${operand} outside the TDMR`, () => {
      const rig = newRig();
      expect(refused(rig, rig.address(rig.memory.pages))).toBe(
        `TDX_OPERAND_ADDR_RANGE_ERROR|${operand}`,
      );
    });
    test.for([0, 1, 2])(
      `${name} is busy when the page in ${operand} is locked at size %i`,
      (size) => {
        const rig = newRig();
        const lock = rig.tdx.pamt.lock(page(rig, row, register), size);
        rig.m.poke(lock, 1);
        expect(status(rig, row)).toBe(`TDX_OPERAND_BUSY|${operand}`);
        expect(rig.m.peek(lock) & 3, 'a refused host sets the flag').toBe(3);
      },
    );
    if (name !== TAKES_ANY_TYPE)
      test(`${name} refuses a page in ${operand} of another type or size`, () => {
        const rig = newRig();
        const { pamt } = rig.tdx;
        const number = page(rig, row, register);
        rig.m.poke(pamt.meta(number, 0), Pamt.pack(RSVD, TDR));
        expect(status(rig, row)).toBe(`TDX_PAGE_METADATA_INCORRECT|${operand}`);
        rig.m.poke(pamt.meta(number, 0), Pamt.pack(NDA, TDR));
        rig.m.poke(pamt.meta(number, 1), Pamt.pack(REG, TDR));
        expect(status(rig, row)).toBe(
          name === TAKES_ANY_SIZE
            ? 'TDX_LIFECYCLE_STATE_INCORRECT'
            : `TDX_PAGE_METADATA_INCORRECT|${operand}`,
        );
        expect(rig.m.peek(pamt.lock(number, 1)), 'it releases its walk').toBe(0);
      });
  },
);

/** Faults of a TD: the status, the field and value, and the kinds of check that find it. */
const TD_FAULTS: readonly (readonly [string, number, number, readonly Row['td'][]])[] = [
  ['TDX_TD_FATAL', TD.FATAL, 1, ['tdcs', 'opState', 'locked']],
  ['TDX_TD_KEYS_NOT_CONFIGURED', TD.LIFECYCLE, HKID_ASSIGNED, ['tdcs', 'opState', 'locked']],
  ['TDX_TDCS_NOT_ALLOCATED', TD.NUM_TDCX, 3, ['tdcs', 'opState', 'locked']],
  ['TDX_OPERAND_BUSY|OP_STATE', TD.OP_STATE_LOCK, 1, ['locked']],
  ['TDX_OP_STATE_INCORRECT', TD.OP_STATE, UNINITIALIZED, ['opState', 'locked']],
];

describe.for(TD_FAULTS)('%s', ([answer, field, value, seenBy]) => {
  test.for(ROWS.filter(({ td }) => seenBy.includes(td)))(`$name returns ${answer}`, (row) => {
    const rig = newRig();
    setTd(rig, field, value);
    expect(status(rig, row)).toBe(answer);
  });
});

describe.for(ROWS.filter(({ levels }) => levels !== undefined))('$name: the GPA', (row) => {
  const [lowest, highest] = row.levels ?? [0, 0];

  test(`${row.name} refuses a GPA with a bad level, bits or alignment, and a shared one`, () => {
    const rig = newRig();
    const { rcx = 0 } = row.operands(rig);
    const bad = [
      rcx - lowest + highest + 1,
      rcx + 8,
      rcx + 2 ** 52,
      HUGE,
      rcx + 2 ** 47,
      ...(lowest > 0 ? [rcx - 1, rcx + 4096] : []),
    ];
    for (const value of bad)
      expect(status(rig, row, { rcx: value })).toBe('TDX_OPERAND_INVALID|RCX');
  });
  test(`${row.name} refuses a GPA that the tree does not reach`, () => {
    const rig = newRig();
    const far = rig.mapping(8, 0).rcx + lowest;
    expect(status(rig, row, { rcx: far })).toBe('TDX_EPT_WALK_FAILED|RCX');
  });
  if (row.name !== TAKES_NO_ENTRY_LOCK)
    test(`${row.name} is busy when the entry or the tree is locked`, () => {
      const rig = newRig();
      const gfn = Math.floor((row.operands(rig).rcx ?? 0) / 4096);
      const cell = rig.memory.word(
        tableAt(rig.tdx, TDR, gfn, lowest),
        rig.tdx.geometry.index(gfn, lowest),
      );
      rig.m.poke(cell, rig.m.peek(cell) | ENTRY_LOCK);
      expect(status(rig, row)).toBe('TDX_OPERAND_BUSY|RCX');
      setTd(rig, TD.SEPT_LOCK, 1);
      expect(status(rig, row)).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    });
});
