/** Shapes of the tree: levels, sizes of pages, widths of addresses. */
import { describe, expect, test } from 'vitest';
import { MAPPED, NL_MAPPED, PENDING, stateOf } from '../../../spec/tdx/entry.ts';
import { Geometry } from '../../../spec/tdx/geometry.ts';
import { NDA, REG } from '../../../spec/tdx/pamt.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { TDR, TdRig, type TdRigOptions } from '../../support/td-rig.ts';

const EPTP_5_LEVELS = 0x26n;
const GPAW = 1n;

describe('the tree of the hardware', () => {
  const geometry = new Geometry(9);
  test('has 512 entries a table, and maps 4 KiB, 2 MiB, 1 GiB', () => {
    expect([geometry.fanout, geometry.span(0), geometry.span(1), geometry.span(2)]).toEqual([
      512,
      1,
      512,
      512 ** 2,
    ]);
    expect(geometry.span(4) * 4096, 'an entry of a 5-level root').toBe(2 ** 48);
  });
  test('finds entry and range of a GFN at each level, past 32 bits', () => {
    const gfn = 2 ** 36 * 3 + 2 ** 27 * 5 + 512 * 7 + 9;
    expect([0, 1, 2, 3, 4].map((level) => geometry.index(gfn, level))).toEqual([9, 7, 0, 5, 3]);
    expect(geometry.align(gfn, 1)).toBe(gfn - 9);
  });
});

const created = (options: Partial<TdRigOptions>): TdRig => new TdRig({ module: '1.5', ...options });
const entryOf = (w: TdRig, gfn: number, level: number): number =>
  w.m.peek(w.memory.word(tableAt(w.tdx, TDR, gfn, level), w.tdx.geometry.index(gfn, level)));

describe.for([
  ['4 levels', {}, 3, 47],
  ['5 levels', { eptpControls: EPTP_5_LEVELS }, 4, 47],
  ['5 levels and GPAW', { eptpControls: EPTP_5_LEVELS, configFlags: GPAW }, 4, 51],
] as const)('a TD with %s', ([, params, rootLevel, sharedBit]) => {
  test('is walked from its root down, one table a level', () => {
    const w = created({ params });
    expect(w.m.peek(w.memory.word(TDR, TD.ROOT_LEVEL))).toBe(rootLevel);
    const missing = w.call('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), r8: w.address(w.pageOf(0)) });
    expect([describeStatus(missing.status), missing.level]).toEqual([
      'TDX_EPT_WALK_FAILED|RCX',
      rootLevel,
    ]);
    w.addTables(0);
    w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), r8: w.address(w.pageOf(0)) });
    const states = Array.from({ length: rootLevel + 1 }, (_, level) =>
      stateOf(entryOf(w, 0, level)),
    );
    expect(states).toEqual([PENDING, ...Array.from({ length: rootLevel }, () => NL_MAPPED)]);
  });
  test('takes private GPAs only', () => {
    const w = created({ params });
    const answer = (gpa: number): string =>
      describeStatus(w.call('TDH.MEM.SEPT.RD', { ...w.mapping(0, 0), rcx: gpa }).status);
    expect(answer(2 ** sharedBit)).toBe('TDX_OPERAND_INVALID|RCX');
    expect(answer(2 ** sharedBit - 4096)).toBe('TDX_EPT_WALK_FAILED|RCX');
    expect(answer(2 ** 52)).toBe('TDX_OPERAND_INVALID|RCX');
  });
});

describe('pages of every size', () => {
  /** A world with four pages from GFN 0 on, all of them added. */
  function mapped(): TdRig {
    const w = created({ finalize: false });
    w.addTables(0);
    w.must('TDH.MEM.SEPT.ADD', { ...w.mapping(2, 1), r8: w.address(w.tablePage(2, 1)) });
    for (let gfn = 0; gfn < 4; gfn++) {
      w.must('TDH.MEM.PAGE.ADD', {
        ...w.mapping(gfn, 0),
        r8: w.address(w.pageOf(gfn)),
        r9: 0x1000_0000,
      });
    }
    return w;
  }
  const sizes = (w: TdRig): number[] => [0, 1, 2, 3].map((gfn) => w.tdx.pamt.sizeOf(w.pageOf(gfn)));

  test('4 KiB pages are promoted to 2 MiB, these to 1 GiB, and demoted back, with PAMT at each size', () => {
    const w = mapped();
    const chldcnt = (): number => w.m.peek(w.memory.word(TDR, TD.CHLDCNT));
    const before = chldcnt();
    w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(0, 1));
    w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(2, 1));
    expect(sizes(w)).toEqual([1, 1, 1, 1]);
    const freed = w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(0, 2));
    expect([freed.rcx, sizes(w), chldcnt()]).toEqual([
      w.address(w.tablePage(0, 2)),
      [2, 2, 2, 2],
      before - 3,
    ]);
    expect([stateOf(entryOf(w, 0, 2)), w.tdx.pamt.type(w.pageOf(0), 2)]).toEqual([MAPPED, REG]);
    w.must('TDH.MEM.PAGE.DEMOTE', { ...w.mapping(0, 2), r8: w.address(w.tablePage(0, 2)) });
    w.must('TDH.MEM.PAGE.DEMOTE', { ...w.mapping(2, 1), r8: w.address(w.tablePage(2, 1)) });
    expect([sizes(w), chldcnt()]).toEqual([[1, 1, 0, 0], before - 1]);
    expect([0, 1, 2].map((size) => w.tdx.pamt.type(w.pageOf(2), size))).toEqual([REG, NDA, NDA]);
  });

  test.for([
    [0, 1],
    [1, 2],
    [2, 4],
  ] as const)('PAGE.REMOVE of level %i gives %i pages back', ([level, count]) => {
    const w = mapped();
    if (level > 0) for (const gfn of [0, 2]) w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(gfn, 1));
    if (level > 1) w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(0, 2));
    const before = w.m.peek(w.memory.word(TDR, TD.CHLDCNT));
    expect(w.must('TDH.MEM.PAGE.REMOVE', w.mapping(0, level)).rcx).toBe(w.address(w.pageOf(0)));
    expect(w.m.peek(w.memory.word(TDR, TD.CHLDCNT))).toBe(before - count);
    expect(w.tdx.pamt.type(w.pageOf(0), level)).toBe(NDA);
  });

  test('PAGE.AUG of 2 MiB wants every page of the range free, and the range to be aligned', () => {
    const w = created({});
    w.addTables(0, 2);
    const aug = (page: number): string =>
      describeStatus(
        w.call('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 1), r8: w.address(page) }).status,
      );
    expect(aug(w.pageOf(0) + 1)).toBe('TDX_OPERAND_INVALID|R8');
    w.m.poke(w.tdx.pamt.meta(w.pageOf(1), 0), REG);
    expect(aug(w.pageOf(0))).toBe('TDX_PAGE_METADATA_INCORRECT|R8');
    w.m.poke(w.tdx.pamt.meta(w.pageOf(1), 0), NDA);
    expect(aug(w.pageOf(0))).toBe('TDX_SUCCESS');
    expect([w.tdx.pamt.type(w.pageOf(0), 1), w.tdx.pamt.type(w.pageOf(0), 0)]).toEqual([REG, NDA]);
  });

  test('a table stands in the way of a page above it, a page of a table below it', () => {
    const w = mapped();
    const aug = (gfn: number, level: number): string =>
      describeStatus(
        w.call('TDH.MEM.PAGE.AUG', { ...w.mapping(gfn, level), r8: w.address(w.sparePage(0)) })
          .status,
      );
    expect(aug(0, 1)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(0, 1));
    expect(aug(0, 0)).toBe('TDX_EPT_WALK_FAILED|RCX');
  });
});
