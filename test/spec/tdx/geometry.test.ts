/** Shapes of the tree: levels, page sizes, address widths. */
import { describe, expect, test } from 'vitest';
import { MAPPED, NL_MAPPED, PENDING, stateOf } from '../../../spec/tdx/entry.ts';
import { NDA, REG } from '../../../spec/tdx/pamt.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { TDR, TdRig, type TdRigOptions } from '../../support/td-rig.ts';

const EPTP_5_LEVELS = 0x26n;
const GPAW = 1n;

const created = (options: Partial<TdRigOptions>): TdRig => new TdRig({ module: '1.5', ...options });
const entryOf = (rig: TdRig, gfn: number, level: number): number =>
  rig.m.peek(
    rig.memory.word(tableAt(rig.tdx, TDR, gfn, level), rig.tdx.geometry.index(gfn, level)),
  );

describe.for([
  ['4 levels', {}, 3, 47],
  ['5 levels', { eptpControls: EPTP_5_LEVELS }, 4, 47],
  ['5 levels and GPAW', { eptpControls: EPTP_5_LEVELS, configFlags: GPAW }, 4, 51],
] as const)('a TD with %s', ([shape, params, rootLevel, sharedBit]) => {
  test(`a walk of a TD with ${shape} starts at its root, one table a level`, () => {
    const rig = created({ params });
    expect(rig.m.peek(rig.memory.word(TDR, TD.ROOT_LEVEL))).toBe(rootLevel);
    const missing = rig.call('TDH.MEM.PAGE.AUG', {
      ...rig.mapping(0, 0),
      r8: rig.address(rig.pageOf(0)),
    });
    expect([describeStatus(missing.status), missing.level]).toEqual([
      'TDX_EPT_WALK_FAILED|RCX',
      rootLevel,
    ]);
    rig.addTables(0);
    rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
    const states = Array.from({ length: rootLevel + 1 }, (_, level) =>
      stateOf(entryOf(rig, 0, level)),
    );
    expect(states).toEqual([PENDING, ...Array.from({ length: rootLevel }, () => NL_MAPPED)]);
  });
  test(`a TD with ${shape} accepts private GPAs only`, () => {
    const rig = created({ params });
    const answer = (gpa: number): string =>
      describeStatus(rig.call('TDH.MEM.SEPT.RD', { ...rig.mapping(0, 0), rcx: gpa }).status);
    expect(answer(2 ** sharedBit)).toBe('TDX_OPERAND_INVALID|RCX');
    expect(answer(2 ** sharedBit - 4096)).toBe('TDX_EPT_WALK_FAILED|RCX');
    expect(answer(2 ** 52)).toBe('TDX_OPERAND_INVALID|RCX');
  });
});

describe('pages of every size', () => {
  /** A TD with four pages from GFN 0 on, all of them added. */
  function mapped(): TdRig {
    const rig = created({ finalize: false });
    rig.addTables(0);
    rig.must('TDH.MEM.SEPT.ADD', { ...rig.mapping(2, 1), r8: rig.address(rig.tablePage(2, 1)) });
    for (let gfn = 0; gfn < 4; gfn++) {
      rig.must('TDH.MEM.PAGE.ADD', {
        ...rig.mapping(gfn, 0),
        r8: rig.address(rig.pageOf(gfn)),
        r9: 0x1000_0000,
      });
    }
    return rig;
  }
  const sizes = (rig: TdRig): number[] =>
    [0, 1, 2, 3].map((gfn) => rig.tdx.pamt.sizeOf(rig.pageOf(gfn)));

  test('PROMOTE merges 4K pages to 2M and 2M to 1G, and DEMOTE splits them, with PAMT', () => {
    const rig = mapped();
    const chldcnt = (): number => rig.m.peek(rig.memory.word(TDR, TD.CHLDCNT));
    const before = chldcnt();
    rig.must('TDH.MEM.PAGE.PROMOTE', rig.mapping(0, 1));
    rig.must('TDH.MEM.PAGE.PROMOTE', rig.mapping(2, 1));
    expect(sizes(rig)).toEqual([1, 1, 1, 1]);
    const freed = rig.must('TDH.MEM.PAGE.PROMOTE', rig.mapping(0, 2));
    expect([freed.rcx, sizes(rig), chldcnt()]).toEqual([
      rig.address(rig.tablePage(0, 2)),
      [2, 2, 2, 2],
      before - 3,
    ]);
    expect([stateOf(entryOf(rig, 0, 2)), rig.tdx.pamt.type(rig.pageOf(0), 2)]).toEqual([
      MAPPED,
      REG,
    ]);
    rig.must('TDH.MEM.PAGE.DEMOTE', { ...rig.mapping(0, 2), r8: rig.address(rig.tablePage(0, 2)) });
    rig.must('TDH.MEM.PAGE.DEMOTE', { ...rig.mapping(2, 1), r8: rig.address(rig.tablePage(2, 1)) });
    expect([sizes(rig), chldcnt()]).toEqual([[1, 1, 0, 0], before - 1]);
    expect([0, 1, 2].map((size) => rig.tdx.pamt.type(rig.pageOf(2), size))).toEqual([
      REG,
      NDA,
      NDA,
    ]);
  });

  test.for([
    [0, 1],
    [1, 2],
    [2, 4],
  ] as const)('PAGE.REMOVE at level %i frees %i pages', ([level, count]) => {
    const rig = mapped();
    if (level > 0) for (const gfn of [0, 2]) rig.must('TDH.MEM.PAGE.PROMOTE', rig.mapping(gfn, 1));
    if (level > 1) rig.must('TDH.MEM.PAGE.PROMOTE', rig.mapping(0, 2));
    const before = rig.m.peek(rig.memory.word(TDR, TD.CHLDCNT));
    expect(rig.must('TDH.MEM.PAGE.REMOVE', rig.mapping(0, level)).rcx).toBe(
      rig.address(rig.pageOf(0)),
    );
    expect(rig.m.peek(rig.memory.word(TDR, TD.CHLDCNT))).toBe(before - count);
    expect(rig.tdx.pamt.type(rig.pageOf(0), level)).toBe(NDA);
  });

  test('PAGE.AUG of a 2M page requires that the range is aligned and all of it is free', () => {
    const rig = created({});
    rig.addTables(0, 2);
    const aug = (page: number): string =>
      describeStatus(
        rig.call('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 1), r8: rig.address(page) }).status,
      );
    expect(aug(rig.pageOf(0) + 1)).toBe('TDX_OPERAND_INVALID|R8');
    rig.m.poke(rig.tdx.pamt.meta(rig.pageOf(1), 0), REG);
    expect(aug(rig.pageOf(0))).toBe('TDX_PAGE_METADATA_INCORRECT|R8');
    rig.m.poke(rig.tdx.pamt.meta(rig.pageOf(1), 0), NDA);
    expect(aug(rig.pageOf(0))).toBe('TDX_SUCCESS');
    expect([rig.tdx.pamt.type(rig.pageOf(0), 1), rig.tdx.pamt.type(rig.pageOf(0), 0)]).toEqual([
      REG,
      NDA,
    ]);
  });

  test('PAGE.AUG is refused where a table is, and below a large page', () => {
    const rig = mapped();
    const aug = (gfn: number, level: number): string =>
      describeStatus(
        rig.call('TDH.MEM.PAGE.AUG', {
          ...rig.mapping(gfn, level),
          r8: rig.address(rig.sparePage(0)),
        }).status,
      );
    expect(aug(0, 1)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    rig.must('TDH.MEM.PAGE.PROMOTE', rig.mapping(0, 1));
    expect(aug(0, 0)).toBe('TDX_EPT_WALK_FAILED|RCX');
  });
});
