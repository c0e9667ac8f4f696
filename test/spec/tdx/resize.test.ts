/** PAGE.PROMOTE and PAGE.DEMOTE: their conditions, their interrupts. Source: module notes §3. */
import { describe, expect, test } from 'vitest';
import type { Operands } from '../../../spec/tdx/call.ts';
import {
  BLOCKED,
  entry,
  ENTRY_LOCK,
  HOST_PRIORITY,
  MAPPED,
  NL_BLOCKED,
  NL_MAPPED,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  stateName,
  stateOf,
} from '../../../spec/tdx/entry.ts';
import { EPT, NDA, REG } from '../../../spec/tdx/pamt.ts';
import { tableAt, treeDisagreement } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

const MODULES = ['1.5', '1.0'] as const;
type Kind = 'TDH.MEM.PAGE.ADD' | 'TDH.MEM.PAGE.AUG';

/** A TD that is being built, with two pages from GFN 0 on. */
function small(module: (typeof MODULES)[number], add: Kind = 'TDH.MEM.PAGE.ADD'): TdRig {
  const w = new TdRig({ module, finalize: false });
  w.addTables(0);
  for (const gfn of [0, 1])
    w.must(add, { ...w.mapping(gfn, 0), r8: w.address(w.pageOf(gfn)), r9: 0x1000_0000 });
  return w;
}
/** The same, as one page of 2 MiB. */
function large(module: (typeof MODULES)[number], add: Kind = 'TDH.MEM.PAGE.ADD'): TdRig {
  const w = small(module, add);
  w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(0, 1));
  return w;
}

const cell = (w: TdRig, gfn: number, level: number): number =>
  w.memory.word(tableAt(w.tdx, TDR, gfn, level), w.tdx.geometry.index(gfn, level));
const stateAt = (w: TdRig, level: number): string =>
  stateName(stateOf(w.m.peek(cell(w, 0, level))));
const promote = (w: TdRig, more: Partial<Operands> = {}) =>
  w.call('TDH.MEM.PAGE.PROMOTE', { ...w.mapping(0, 1), interruptAfter: -1, ...more });
const demote = (w: TdRig, more: Partial<Operands> = {}) =>
  w.call('TDH.MEM.PAGE.DEMOTE', {
    ...w.mapping(0, 1),
    r8: w.address(w.tablePage(0, 1)),
    interruptAfter: -1,
    ...more,
  });
/** Everything that a refused call must leave alone. */
const picture = (w: TdRig): unknown[] => [
  [0, 1].map((gfn) => w.m.peek(w.memory.word(w.tablePage(0, 1), gfn))),
  w.m.peek(cell(w, 0, 1)),
  [0, 1, 2].map((size) => w.tdx.pamt.type(w.pageOf(0), size)),
  w.tdx.pamt.type(w.tablePage(0, 1), 0),
  w.m.peek(w.memory.word(TDR, TD.CHLDCNT)),
];

describe.for(MODULES)('PROMOTE, module %s', (module) => {
  test.for([
    ['TDH.MEM.PAGE.ADD', 'MAPPED'],
    ['TDH.MEM.PAGE.AUG', 'PENDING'],
  ] as const)(
    'after %s makes one %s page of the children, and frees their table',
    ([add, state]) => {
      const w = small(module, add);
      const call = promote(w);
      expect([describeStatus(call.status), call.rcx]).toEqual([
        'TDX_SUCCESS',
        w.address(w.tablePage(0, 1)),
      ]);
      expect([stateAt(w, 1), w.tdx.pamt.type(w.tablePage(0, 1), 0)]).toEqual([state, NDA]);
      expect(treeDisagreement(w.tdx, TDR)).toBeNull();
    },
  );
  test('unblocks: NL_BLOCKED becomes the page', () => {
    const w = small(module);
    w.must('TDH.MEM.RANGE.BLOCK', w.mapping(0, 1));
    expect(stateOf(w.m.peek(cell(w, 0, 1)))).toBe(NL_BLOCKED);
    expect([describeStatus(promote(w).status), stateAt(w, 1)]).toEqual(['TDX_SUCCESS', 'MAPPED']);
  });
  test.for([
    ['a page is missing', 1, 0],
    ['the first is missing', 0, 0],
    ['the second is in another state', 1, entry(PENDING, 1)],
    ['the first is blocked', 0, entry(BLOCKED, 0)],
    ['the pages do not follow each other', 1, entry(MAPPED, 3)],
    ['the first is not aligned', 0, entry(MAPPED, 1)],
  ] as const)('is refused where %s, and lets go of the children', ([, gfn, child]) => {
    const w = small(module);
    const value = child === 0 ? 0 : child + w.pageOf(0);
    w.m.poke(cell(w, gfn, 0), value);
    const before = picture(w);
    expect(describeStatus(promote(w).status)).toBe('TDX_EPT_INVALID_PROMOTE_CONDITIONS|RCX');
    expect(picture(w)).toEqual(before);
  });
  test('may be interrupted before it commits, with its operands as they were', () => {
    const w = small(module);
    const before = picture(w);
    const call = promote(w, { interruptAfter: 1 });
    const { rcx, rdx } = call.in;
    expect([describeStatus(call.status), call.rcx, call.rdx]).toEqual([
      'TDX_INTERRUPTED_RESTARTABLE',
      rcx,
      rdx,
    ]);
    expect(picture(w)).toEqual(before);
    expect(describeStatus(promote(w).status)).toBe('TDX_SUCCESS');
  });
  test('is refused while somebody walks the PAMT entry of the range', () => {
    const w = small(module);
    const before = picture(w);
    w.m.poke(w.tdx.pamt.lock(w.pageOf(0), 1), 4);
    expect(describeStatus(promote(w).status)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(picture(w)).toEqual(before);
  });
  test('is refused while somebody has the PAMT entry of the table', () => {
    const w = small(module);
    w.m.poke(w.tdx.pamt.lock(w.tablePage(0, 1), 0), 1);
    expect(describeStatus(promote(w).status)).toBe('TDX_OPERAND_BUSY|RCX');
  });
  test('has versions 0 and 1, and frees no L2 pages', () => {
    const w = small(module);
    expect(describeStatus(promote(w, { version: 2 }).status)).toBe('TDX_OPERAND_INVALID');
    const { r9, r10, r11 } = promote(w, { version: 1 });
    expect([r9, r10, r11]).toEqual([-2, -2, -2]);
  });
  test('wants a table', () => {
    expect(describeStatus(promote(large(module)).status)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
  });
});

test('PROMOTE of 1.5 meets a locked child, asks for priority there, and leaves the others as they were', () => {
  const w = small('1.5');
  w.m.poke(cell(w, 1, 0), w.m.peek(cell(w, 1, 0)) | ENTRY_LOCK);
  expect(describeStatus(promote(w).status)).toBe('TDX_OPERAND_BUSY|RCX');
  const both = ENTRY_LOCK | HOST_PRIORITY;
  expect([0, 1].map((gfn) => w.m.peek(cell(w, gfn, 0)) & both)).toEqual([0, both]);
});

test('PROMOTE of 1.5 leaves the entries of the table that it frees locked, that of 1.0 does not lock them', () => {
  const locked = (module: (typeof MODULES)[number]): number[] => {
    const w = large(module);
    return [0, 1].map((i) => w.m.peek(w.memory.word(w.tablePage(0, 1), i)) & ENTRY_LOCK);
  };
  expect([locked('1.5'), locked('1.0')]).toEqual([
    [ENTRY_LOCK, ENTRY_LOCK],
    [0, 0],
  ]);
});

describe.for(MODULES)('DEMOTE, module %s', (module) => {
  test.for([
    [MAPPED, MAPPED],
    [BLOCKED, MAPPED],
    [PENDING, PENDING],
    [PENDING_BLOCKED, PENDING],
  ] as const)('of a page in state %i makes children in state %i, unblocked', ([before, after]) => {
    const w = large(module);
    w.m.poke(cell(w, 0, 1), entry(before, w.pageOf(0)));
    expect(describeStatus(demote(w).status)).toBe('TDX_SUCCESS');
    expect([stateAt(w, 1), w.tdx.pamt.type(w.tablePage(0, 1), 0)]).toEqual([
      stateName(NL_MAPPED),
      EPT,
    ]);
    const children = [0, 1].map((gfn) => w.m.peek(cell(w, gfn, 0)));
    expect(children.map((e) => [stateOf(e), pageOf(e)])).toEqual(
      [0, 1].map((gfn) => [after, w.pageOf(gfn)]),
    );
    expect([w.tdx.pamt.type(w.pageOf(0), 1), w.tdx.pamt.type(w.pageOf(1), 0)]).toEqual([NDA, REG]);
    expect(treeDisagreement(w.tdx, TDR)).toBeNull();
  });
  test('may be interrupted before it commits, with its operands as they were', () => {
    const w = large(module);
    const before = picture(w).slice(1);
    const call = demote(w, { interruptAfter: 1 });
    const { rcx, rdx } = call.in;
    expect([describeStatus(call.status), call.rcx, call.rdx]).toEqual([
      'TDX_INTERRUPTED_RESTARTABLE',
      rcx,
      rdx,
    ]);
    expect(picture(w).slice(1), 'all but the page that is not a table yet').toEqual(before);
    expect(describeStatus(demote(w).status)).toBe('TDX_SUCCESS');
  });
  test('is refused while somebody walks the PAMT entry of the range', () => {
    const w = large(module);
    w.m.poke(w.tdx.pamt.lock(w.pageOf(0), 1), 4);
    expect(describeStatus(demote(w).status)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(stateAt(w, 1)).toBe('MAPPED');
  });
  test('wants a page that can be split, without flags, and tracked when the TD runs', () => {
    const w = large(module);
    expect(describeStatus(demote(w, { rdx: w.address(TDR) + 2 }).status)).toBe(
      'TDX_OPERAND_INVALID|RDX',
    );
    expect(describeStatus(demote(small(module)).status)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    w.must('TDH.MR.FINALIZE', { rcx: w.address(TDR) });
    expect(describeStatus(demote(w).status)).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
    w.must('TDH.MEM.RANGE.BLOCK', w.mapping(0, 1));
    expect(describeStatus(demote(w).status)).toBe('TDX_TLB_TRACKING_NOT_DONE|RCX');
    w.must('TDH.MEM.TRACK', { rcx: w.address(TDR) });
    expect(describeStatus(demote(w).status)).toBe('TDX_SUCCESS');
  });
});

test('both are interrupted when the choices say so', () => {
  const w = small('1.5');
  w.m.choices = { pick: () => 1 };
  w.m.spawn('host', (function* () {})());
  expect(describeStatus(promote(w, { interruptAfter: 0 }).status)).toBe(
    'TDX_INTERRUPTED_RESTARTABLE',
  );
  w.m.choices = { pick: () => 0 };
  expect(describeStatus(promote(w, { interruptAfter: 0 }).status)).toBe('TDX_SUCCESS');
});
