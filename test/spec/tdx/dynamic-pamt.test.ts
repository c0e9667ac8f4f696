/**
 * Dynamic PAMT: the calls that add and remove the pages with the entries of a range, and what the
 * other functions make of them. Source: spec/tdx/pamt-pairs.ts; nothing here is measured.
 */
import { describe, expect, test } from 'vitest';
import type { Call, Operands } from '../../../spec/tdx/call.ts';
import { EXCLUSIVE, SHARED } from '../../../spec/tdx/locks.ts';
import { NDA, PAMT, REG } from '../../../spec/tdx/pamt.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { versionData } from '../../../spec/tdx/versions/index.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

const MODULE = 'dynamic-pamt';
const ADD = 'TDH.PHYMEM.PAMT.ADD';
const REMOVE = 'TDH.PHYMEM.PAMT.REMOVE';
/** Bit 62 of a returned page: the last one of its range. */
const HINT = 2 ** 62;

/** A TD that can run, with tables for GFN 0; every range has its PAMT pages. */
function newRig(finalize = true): TdRig {
  const rig = new TdRig({ module: MODULE, finalize });
  rig.addTables(0);
  return rig;
}

const answer = (call: Call): string => describeStatus(call.status);
const rangeOf = (rig: TdRig, page: number): number =>
  rig.address(rig.tdx.geometry.align(page, 1)) + 1;
const add = (rig: TdRig, page: number, more: Partial<Operands> = {}): string => {
  const [rdx, r8] = rig.pairOf(page);
  return answer(rig.call(ADD, { rcx: rangeOf(rig, page), rdx, r8, ...more }));
};
const remove = (rig: TdRig, page: number): Call => rig.call(REMOVE, { rcx: rangeOf(rig, page) });
const aug = (rig: TdRig, gfn: number, level = 0): Call =>
  rig.call('TDH.MEM.PAGE.AUG', {
    ...rig.mapping(gfn, level),
    r8: rig.address(rig.pageOf(gfn, level)),
  });

/** A range without PAMT pages, of two free pages. */
function uncovered(rig: TdRig): number {
  const page = rig.sparePage(0);
  expect(answer(remove(rig, page))).toBe('TDX_SUCCESS');
  return page;
}

describe('PAMT.ADD', () => {
  test('PAMT.ADD makes a range a node, and REMOVE returns the two pages', () => {
    const rig = newRig();
    const page = uncovered(rig);
    expect([rig.tdx.pamt.type(page, 1), rig.tdx.pamt.useOf(page)]).toEqual([NDA, NDA]);

    expect(add(rig, page)).toBe('TDX_SUCCESS');
    expect(rig.tdx.pamt.type(page, 1)).toBe(PAMT);
    const { rdx, r8 } = remove(rig, page);
    expect([rdx, r8]).toEqual(rig.pairOf(page));
  });

  test.each<[string, (rig: TdRig, page: number) => Partial<Operands>, string]>([
    ['a level other than 2M', (rig, page) => ({ rcx: rig.address(page) }), 'OPERAND_INVALID|RCX'],
    ['a reserved bit', (rig, page) => ({ rcx: rangeOf(rig, page) + 8 }), 'OPERAND_INVALID|RCX'],
    ['half a range', (rig, page) => ({ rcx: rig.address(page + 1) + 1 }), 'OPERAND_INVALID|RCX'],
    ['an HKID', (rig, page) => ({ rcx: rangeOf(rig, page) + 2 ** 46 }), 'OPERAND_INVALID|RCX'],
    ['no range of the TDMR', () => ({ rcx: 2 ** 40 + 1 }), 'OPERAND_ADDR_RANGE_ERROR|RCX'],
    ['a misaligned page', () => ({ rdx: 1 }), 'OPERAND_INVALID|RDX'],
    ['a page outside', () => ({ rdx: 2 ** 40 }), 'OPERAND_ADDR_RANGE_ERROR|RDX'],
    ['a misaligned second page', () => ({ r8: 1 }), 'OPERAND_INVALID|R8'],
    ['a second page outside', () => ({ r8: 2 ** 40 }), 'OPERAND_ADDR_RANGE_ERROR|R8'],
    ['a page of a TD', (rig) => ({ rdx: rig.address(TDR) }), 'PAGE_NOT_FREE|RDX'],
    ['one page twice', (rig, page) => ({ r8: rig.pairOf(page)[0] }), 'PAGE_NOT_FREE|R8'],
    ['a PAMT page', (rig) => ({ r8: rig.pairOf(TDR)[0] }), 'PAGE_NOT_FREE|R8'],
    ['a range with PAMT pages', (rig) => ({ rcx: rangeOf(rig, TDR) }), 'HPA_RANGE_NOT_FREE|RCX'],
  ])('PAMT.ADD with %s is refused, and changes nothing', (_, operands, status) => {
    const rig = newRig();
    const page = uncovered(rig);

    expect(add(rig, page, operands(rig, page))).toBe(`TDX_${status}`);
    expect(add(rig, page), 'neither page is marked').toBe('TDX_SUCCESS');
  });

  test('PAMT.ADD takes pages of the range that it adds them for', () => {
    const rig = newRig();
    const page = uncovered(rig);
    const own = { rdx: rig.address(page), r8: rig.address(page + 1) };

    expect(add(rig, page, own)).toBe('TDX_SUCCESS');
    const { rcx, rdx, r8 } = rig.call('TDH.PHYMEM.PAGE.RDMD', { rcx: rig.address(page) });
    expect([rcx, rdx, r8]).toEqual([PAMT, 0, 0]);
  });

  test('PAMT.ADD and REMOVE are busy while a call holds the range or a page of it', () => {
    const rig = newRig();
    const page = uncovered(rig);
    const { locks, pamt } = rig.tdx;
    locks.tryNow(pamt.lock(page, 1), 'sharexHp', SHARED);
    expect([add(rig, page), answer(remove(rig, page))]).toEqual([
      'TDX_OPERAND_BUSY|RCX',
      'TDX_OPERAND_BUSY|RCX',
    ]);
    locks.releaseNow(pamt.lock(page, 1), 'sharexHp', SHARED);

    const other = rig.pageOf(4);
    locks.tryNow(pamt.lock(other, 1), 'sharexHp', EXCLUSIVE);
    expect(add(rig, page, { rdx: rig.address(other) })).toBe('TDX_OPERAND_BUSY|RDX');
  });

  test('PAMT.ADD is unknown to a module whose feature is off', () => {
    const off = { ...versionData(MODULE), name: 'feature-off', dynamicPamt: false };
    const rig = new TdRig({ module: off });
    for (const name of [ADD, REMOVE])
      expect(answer(rig.call(name, { rcx: 1 }))).toBe('TDX_OPERAND_INVALID');
  });
});

test('PAMT.REMOVE is refused while the range has no pair, or a page of it is in use', () => {
  const rig = newRig();
  const page = uncovered(rig);
  expect(answer(remove(rig, page))).toBe('TDX_NO_PAMT_PAGE_PAIR|RCX');

  expect(answer(aug(rig, 0))).toBe('TDX_SUCCESS');
  expect(remove(rig, rig.pageOf(0)).status >>> 8, 'its entry is in the first page').toBe(0);
  expect(answer(aug(rig, 1))).toBe('TDX_SUCCESS');
  expect(answer(remove(rig, rig.pageOf(0)))).toMatch(/^TDX_PAMT_PAGE_NOT_EMPTY/);
});

describe('a function that takes a new page', () => {
  /** Each function with the register that names its page, at a TD in the state that it needs. */
  test.each<[string, string, (rig: TdRig, page: number) => Partial<Operands>]>([
    ['TDH.MNG.CREATE', 'RCX', (rig, page) => ({ rcx: rig.address(page), rdx: 33 })],
    ['TDH.MNG.ADDCX', 'RCX', (rig, page) => ({ rcx: rig.address(page), rdx: rig.address(TDR) })],
    ['TDH.VP.CREATE', 'RCX', (rig, page) => ({ rcx: rig.address(page), rdx: rig.address(TDR) })],
    ['TDH.MEM.PAGE.ADD', 'R8', (rig, page) => ({ ...rig.mapping(0, 0), r8: rig.address(page) })],
    ['TDH.MEM.PAGE.AUG', 'R8', (rig, page) => ({ ...rig.mapping(0, 0), r8: rig.address(page) })],
    ['TDH.MEM.SEPT.ADD', 'R8', (rig, page) => ({ ...rig.mapping(2, 1), r8: rig.address(page) })],
  ])('%s requires the PAMT pages of the range of the page', (name, register, operands) => {
    const rig = newRig(false);
    const page = uncovered(rig);
    const missing = `TDX_MISSING_PAMT_PAGE_PAIR|${register}`;
    expect(answer(rig.call(name, operands(rig, page)))).toBe(missing);
    expect(add(rig, page)).toBe('TDX_SUCCESS');
    expect(answer(rig.call(name, operands(rig, page)))).not.toBe(missing);
  });

  test('no function takes a PAMT page', () => {
    const rig = newRig();
    const r8 = rig.pairOf(TDR)[0];
    const call = rig.call('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8 });
    expect(answer(call)).toBe('TDX_MISSING_PAMT_PAGE_PAIR|R8');

    const page = uncovered(rig);
    expect(add(rig, page, { rdx: rig.address(page) })).toBe('TDX_SUCCESS');
    const own = rig.call('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(page) });
    expect(answer(own)).toBe('TDX_PAGE_METADATA_INCORRECT|R8');
  });

  test('PAGE.AUG of 2M requires a range without PAMT pages', () => {
    const rig = newRig();
    rig.must('TDH.MEM.SEPT.REMOVE', blocked(rig, 0, 1));
    expect(answer(aug(rig, 0, 1))).toBe('TDX_PAGE_METADATA_INCORRECT|R8');
    remove(rig, rig.pageOf(0));
    expect(answer(aug(rig, 0, 1))).toBe('TDX_SUCCESS');
    expect(add(rig, rig.pageOf(0))).toBe('TDX_HPA_RANGE_NOT_FREE|RCX');
  });
});

test('PAGE.WBINVD takes a page of a free range without PAMT pages, and no PAMT page', () => {
  const rig = newRig();
  const wbinvd = (rcx: number): string => answer(rig.call('TDH.PHYMEM.PAGE.WBINVD', { rcx }));
  const page = uncovered(rig);

  expect(wbinvd(rig.address(page))).toBe('TDX_SUCCESS');
  expect(wbinvd(rig.address(TDR))).toBe('TDX_PAGE_METADATA_INCORRECT|RCX');
  expect(wbinvd(rig.pairOf(TDR)[0])).toBe('TDX_PAGE_METADATA_INCORRECT|RCX');
  expect(add(rig, page)).toBe('TDX_SUCCESS');
  expect(wbinvd(rig.address(page))).toBe('TDX_SUCCESS');
});

/** Operands of a call on an entry that is blocked and tracked. */
function blocked(rig: TdRig, gfn: number, level: number): { rcx: number; rdx: number } {
  const mapping = rig.mapping(gfn, level);
  rig.must('TDH.MEM.RANGE.BLOCK', mapping);
  rig.must('TDH.MEM.TRACK', { rcx: mapping.rdx });
  return mapping;
}

describe('a call that frees a page', () => {
  test('PAGE.REMOVE of the last page of a range says so in bit 62', () => {
    const rig = newRig();
    for (const gfn of [0, 1]) expect(answer(aug(rig, gfn))).toBe('TDX_SUCCESS');
    const first = rig.must('TDH.MEM.PAGE.REMOVE', blocked(rig, 0, 0));
    const last = rig.must('TDH.MEM.PAGE.REMOVE', blocked(rig, 1, 0));

    expect([first.rcx, last.rcx]).toEqual([
      rig.address(rig.pageOf(0)),
      rig.address(rig.pageOf(1)) + HINT,
    ]);
    expect(answer(remove(rig, rig.pageOf(0)))).toBe('TDX_SUCCESS');
  });

  test('SEPT.REMOVE, RELOCATE and RECLAIM give the same hint', () => {
    const rig = newRig();
    expect(answer(aug(rig, 0))).toBe('TDX_SUCCESS');
    const moved = rig.must('TDH.MEM.PAGE.RELOCATE', {
      ...blocked(rig, 0, 0),
      r8: rig.address(rig.sparePage(0)),
    });
    expect(moved.rcx).toBe(rig.address(rig.pageOf(0)) + HINT);
    rig.must('TDH.MEM.PAGE.REMOVE', blocked(rig, 0, 0));
    const table = rig.must('TDH.MEM.SEPT.REMOVE', blocked(rig, 0, 1));
    expect(table.rcx).toBe(rig.address(rig.tablePage(0, 1)) + HINT);

    for (const lp of [0, 1]) rig.must('TDH.VP.FLUSH', { rcx: rig.address(rig.tdvpr(lp)), lp });
    rig.must('TDH.MNG.VPFLUSHDONE', { rcx: rig.address(TDR) });
    rig.must('TDH.PHYMEM.CACHE.WB');
    rig.must('TDH.MNG.KEY.FREEID', { rcx: rig.address(TDR) });
    const hints = [2, 3].map((level) => {
      const page = rig.tablePage(0, level);
      return rig.tdx.pamt.type(page, 0) === NDA
        ? null
        : rig.must('TDH.PHYMEM.PAGE.RECLAIM', { rcx: rig.address(page) }).r9;
    });
    expect(hints).toContain(HINT);
  });
});

describe('a page that is split and merged', () => {
  const split = (rig: TdRig, [r12, r13]: readonly [number, number]): Call =>
    rig.call('TDH.MEM.PAGE.DEMOTE', {
      ...rig.mapping(0, 1),
      r8: rig.address(rig.tablePage(0, 1)),
      r12,
      r13,
      interruptAfter: -1,
    });

  /** A TD with a blocked 2M page at GFN 0. */
  function withLargePage(): TdRig {
    const rig = newRig();
    rig.must('TDH.MEM.SEPT.REMOVE', blocked(rig, 0, 1));
    remove(rig, rig.pageOf(0));
    expect(answer(aug(rig, 0, 1))).toBe('TDX_SUCCESS');
    blocked(rig, 0, 1);
    return rig;
  }

  test('DEMOTE takes the pages for the entries of the parts, and PROMOTE returns them', () => {
    const rig = withLargePage();
    const pair = rig.pairOf(rig.pageOf(0));
    expect(answer(split(rig, pair))).toBe('TDX_SUCCESS');
    const { pamt } = rig.tdx;
    const types = (): number[] => [1, 0].map((size) => pamt.type(rig.pageOf(1), size));
    expect(types()).toEqual([PAMT, REG]);
    expect(answer(remove(rig, rig.pageOf(0)))).toMatch(/^TDX_PAMT_PAGE_NOT_EMPTY/);

    const merged = rig.must('TDH.MEM.PAGE.PROMOTE', { ...blocked(rig, 0, 1), interruptAfter: -1 });
    expect(merged.returnedPair).toEqual(pair);
    expect(types()).toEqual([REG, NDA]);
    expect(rig.m.peek(rig.memory.word(TDR, TD.CHLDCNT))).toBeGreaterThan(0);
    blocked(rig, 0, 1);
    expect(answer(split(rig, pair)), 'the pages are free again').toBe('TDX_SUCCESS');
  });

  test.each<[string, (pair: readonly [number, number], rig: TdRig) => [number, number], string]>([
    ['a misaligned page', ([, second]) => [1, second], 'OPERAND_INVALID|R12'],
    ['a misaligned second page', ([first]) => [first, 1], 'OPERAND_INVALID|R13'],
    ['a page outside', ([, second]) => [2 ** 40, second], 'OPERAND_ADDR_RANGE_ERROR|R12'],
    ['a page of a TD', ([, second], rig) => [rig.address(TDR), second], 'PAGE_NOT_FREE|R12'],
    ['one page twice', ([first]) => [first, first], 'PAGE_NOT_FREE|R13'],
    ['the page itself', ([first], rig) => [first, rig.address(rig.pageOf(0))], 'OPERAND_BUSY|R13'],
  ])('DEMOTE with %s is refused, and can be repeated', (_, pairOf, status) => {
    const rig = withLargePage();
    const pair = rig.pairOf(rig.pageOf(0));

    expect(answer(split(rig, pairOf(pair, rig)))).toBe(`TDX_${status}`);
    expect(answer(split(rig, pair))).toBe('TDX_SUCCESS');
  });
});
