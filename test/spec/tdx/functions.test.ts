/** Behaviour of single functions that others do not share. Source: spec/tdx/functions/. */
import { describe, expect, test } from 'vitest';
import { ALL_ONES, HUGE, type Call, type Operands } from '../../../spec/tdx/call.ts';
import {
  entry,
  EXPORTED_DIRTY,
  MAPPED,
  REMOVED,
  stateName,
  stateOf,
  toArchitectural,
} from '../../../spec/tdx/entry.ts';
import { EPT, NDA, REG } from '../../../spec/tdx/pamt.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { RUNNABLE, TD } from '../../../spec/tdx/td.ts';
import { TDR, TdRig, type TdRigOptions } from '../../support/td-rig.ts';

const SOURCE = 0x1000_0000;
const DEBUG = { attributes: 1n } as const;
const NOT_NEEDED = 2 ** 63;

/** A TD that is being built, with tables for GFN 0. */
function newRig(options: Partial<TdRigOptions> = {}): TdRig {
  const rig = new TdRig({ module: '1.5', finalize: false, ...options });
  rig.addTables(0);
  return rig;
}
const text = (call: Call): string => describeStatus(call.status);
const add = (rig: TdRig, gfn: number): Call =>
  rig.must('TDH.MEM.PAGE.ADD', {
    ...rig.mapping(gfn, 0),
    r8: rig.address(rig.pageOf(gfn)),
    r9: SOURCE,
  });
const cell = (rig: TdRig, gfn: number, level: number): number =>
  rig.memory.word(tableAt(rig.tdx, TDR, gfn, level), rig.tdx.geometry.index(gfn, level));
const stateAt = (rig: TdRig, gfn: number, level: number): string =>
  stateName(stateOf(rig.m.peek(cell(rig, gfn, level))));
const chldcnt = (rig: TdRig): number => rig.m.peek(rig.memory.word(TDR, TD.CHLDCNT));
/** The same status, `n` times. */
const times = (n: number, answer: string): string[] => Array.from({ length: n }, () => answer);

describe('SEPT.ADD', () => {
  const call = (rig: TdRig, gfn: number, more: Partial<Operands> = {}): Call =>
    rig.call('TDH.MEM.SEPT.ADD', {
      ...rig.mapping(gfn, 1),
      r8: rig.address(rig.tablePage(gfn, 1)),
      ...more,
    });
  const NONE = { r9: ALL_ONES, r10: ALL_ONES, r11: ALL_ONES };

  test('SEPT.ADD links a table of FREE entries, and returns its page as used', () => {
    const rig = newRig();
    rig.use(rig.tablePage(2, 1));
    const { r8 } = call(rig, 2);
    expect([r8, stateAt(rig, 2, 1), stateAt(rig, 2, 0)]).toEqual([ALL_ONES, 'NL_MAPPED', 'FREE']);
    expect([
      rig.tdx.pamt.type(rig.tablePage(2, 1), 0),
      rig.tdx.pamt.owner(rig.tablePage(2, 1), 0),
    ]).toEqual([EPT, TDR]);
  });
  test('SEPT.ADD has versions 0 and 1, and refuses pages for L2 VMs that do not exist', () => {
    const rig = newRig();
    expect(text(call(rig, 2, { version: 2 }))).toBe('TDX_OPERAND_INVALID');
    for (const register of ['r9', 'r10', 'r11'] as const) {
      const answer = text(call(rig, 2, { version: 1, ...NONE, [register]: 0x1000 }));
      expect(answer).toBe(`TDX_OPERAND_INVALID|${register.toUpperCase()}`);
    }
    expect(text(call(rig, 2, { version: 1, ...NONE }))).toBe('TDX_SUCCESS');
  });
  test('SEPT.ADD with ALLOW_EXISTING accepts a table, and returns the page as not needed', () => {
    const rig = newRig();
    const flag = { rdx: rig.address(TDR) + 1 };
    expect(text(call(rig, 0))).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    const accepted = call(rig, 0, flag);
    expect([text(accepted), accepted.r8]).toEqual([
      'TDX_SUCCESS',
      rig.address(rig.tablePage(0, 1)) + NOT_NEEDED,
    ]);
    // bit 63 is ignored on input
    expect(text(call(rig, 2, { r8: NOT_NEEDED + rig.address(rig.tablePage(2, 1)) }))).toBe(
      'TDX_SUCCESS',
    );
    expect(text(call(rig, 2, { rdx: rig.address(TDR) + 2 }))).toBe('TDX_OPERAND_INVALID|RDX');
    expect(text(call(rig, 2, { rdx: HUGE }))).toBe('TDX_OPERAND_INVALID|RDX');
  });
  test('SEPT.ADD without a page requires version 1 and an existing table', () => {
    const rig = newRig();
    const none = { version: 1, ...NONE, r8: ALL_ONES };
    expect(text(call(rig, 0, { ...none, version: 0 }))).toBe('TDX_OPERAND_INVALID|R8');
    expect(text(call(rig, 2, none))).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    expect(text(call(rig, 0, none))).toBe('TDX_SUCCESS');
  });
  test('SEPT.ADD requires a free entry or a table', () => {
    const rig = newRig();
    add(rig, 0);
    rig.m.poke(cell(rig, 2, 1), entry(MAPPED, rig.pageOf(2)));
    expect(text(call(rig, 2))).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
  });
});

describe('SEPT.REMOVE', () => {
  const call = (rig: TdRig, more: Partial<Operands> = {}): Call =>
    rig.call('TDH.MEM.SEPT.REMOVE', { ...rig.mapping(0, 1), ...more });
  test('SEPT.REMOVE frees the page of an empty table', () => {
    const rig = newRig();
    const before = chldcnt(rig);
    const { rcx, r9 } = call(rig, { version: 1 });
    expect([rcx, r9]).toEqual([rig.address(rig.tablePage(0, 1)), ALL_ONES]);
    expect([rig.tdx.pamt.type(rig.tablePage(0, 1), 0), chldcnt(rig)]).toEqual([NDA, before - 1]);
  });
  test('SEPT.REMOVE requires every entry FREE, and counts REMOVED as used', () => {
    const rig = newRig();
    expect(text(call(rig, { version: 2 }))).toBe('TDX_OPERAND_INVALID');
    rig.m.poke(cell(rig, 1, 0), entry(REMOVED, 0));
    expect(text(call(rig))).toBe('TDX_EPT_PAGE_NOT_FREE|RCX');
    rig.m.poke(cell(rig, 1, 0), 0);
    rig.m.poke(rig.tdx.pamt.lock(rig.tablePage(0, 1), 0), 1);
    expect(text(call(rig)), 'the PAMT entry of the table is locked').toBe('TDX_OPERAND_BUSY|RCX');
    expect(text(rig.call('TDH.MEM.SEPT.REMOVE', rig.mapping(2, 1)))).toBe(
      'TDX_EPT_ENTRY_STATE_INCORRECT|RCX',
    );
  });
});

describe('SEPT.RD', () => {
  test('SEPT.RD reads L2 attributes of debug TDs only', () => {
    const call = (rig: TdRig): string =>
      text(rig.call('TDH.MEM.SEPT.RD', { ...rig.mapping(0, 0), rdx: rig.address(TDR) + 1 }));
    expect([call(newRig()), call(newRig({ params: DEBUG }))]).toEqual([
      'TDX_OPERAND_INVALID|RDX',
      'TDX_SUCCESS',
    ]);
  });
});

describe('PAGE.ADD', () => {
  const call = (rig: TdRig, r9: number): string =>
    text(
      rig.call('TDH.MEM.PAGE.ADD', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)), r9 }),
    );
  test('PAGE.ADD copies from shared memory only', () => {
    const bad = [SOURCE + 1, HUGE, 2 ** 52, 33 * 2 ** 46];
    for (const r9 of bad) expect(call(newRig(), r9)).toBe('TDX_OPERAND_INVALID|R9');
    const rig = newRig();
    expect(call(rig, 31 * 2 ** 46 + SOURCE), 'a shared HKID').toBe('TDX_SUCCESS');
    expect([stateAt(rig, 0, 0), rig.tdx.pamt.type(rig.pageOf(0), 0)]).toEqual(['MAPPED', REG]);
    expect(call(rig, SOURCE)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
  });
  test("PAGE.ADD does not copy from the module's own memory", () => {
    const rig = newRig();
    const platform = Object.assign(rig.tdx.platform, { seamrr: [SOURCE / 4096, 2] as const });
    expect([SOURCE, SOURCE + 4096].map((r9) => call(rig, r9))).toEqual(
      times(2, 'TDX_OPERAND_INVALID|R9'),
    );
    expect([call(rig, SOURCE + 2 * 4096), platform.seamrr]).toEqual([
      'TDX_SUCCESS',
      [SOURCE / 4096, 2],
    ]);
  });
});

describe('PAGE.RELOCATE', () => {
  test('PAGE.RELOCATE moves the contents, but not to the same page or one in use', () => {
    const rig = newRig();
    add(rig, 0);
    add(rig, 1);
    rig.use(rig.pageOf(0));
    const to = (page: number): Call =>
      rig.call('TDH.MEM.PAGE.RELOCATE', { ...rig.mapping(0, 0), r8: rig.address(page) });
    expect(text(to(rig.pageOf(0)))).toBe('TDX_OPERAND_INVALID|R8');
    expect(text(to(rig.pageOf(1)))).toBe('TDX_PAGE_METADATA_INCORRECT|R8');
    const word = (page: number): number => rig.m.peek(rig.memory.word(page, 0));
    const contents = word(rig.pageOf(0));
    expect([text(to(rig.sparePage(0))), word(rig.sparePage(0))]).toEqual(['TDX_SUCCESS', contents]);
    expect([rig.tdx.pamt.type(rig.pageOf(0), 0), rig.tdx.pamt.type(rig.sparePage(0), 0)]).toEqual([
      NDA,
      REG,
    ]);
    expect(text(rig.call('TDH.MEM.PAGE.RELOCATE', { ...rig.mapping(5, 0), r8: 0 }))).toBe(
      'TDX_EPT_WALK_FAILED|RCX',
    );
  });
  test('PAGE.RELOCATE refuses a free entry, and is busy when the old page is locked', () => {
    const rig = newRig();
    const operands = { ...rig.mapping(0, 0), r8: rig.address(rig.sparePage(0)) };
    const call = (): string => text(rig.call('TDH.MEM.PAGE.RELOCATE', operands));
    expect(call()).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    add(rig, 0);
    rig.m.poke(rig.tdx.pamt.lock(rig.pageOf(0), 0), 4);
    expect(call()).toBe('TDX_OPERAND_BUSY|RCX');
  });
});

describe('RANGE.BLOCK and RANGE.UNBLOCK', () => {
  test('RANGE.BLOCK requires a mapped entry, RANGE.UNBLOCK a blocked one', () => {
    const rig = newRig();
    const call = (name: string): string => text(rig.call(name, rig.mapping(0, 0)));
    expect([
      call('TDH.MEM.RANGE.BLOCK'),
      call('TDH.MEM.RANGE.UNBLOCK'),
      call('TDH.MEM.PAGE.REMOVE'),
    ]).toEqual(times(3, 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX'));
    add(rig, 0);
    expect([call('TDH.MEM.RANGE.BLOCK'), stateAt(rig, 0, 0)]).toEqual(['TDX_SUCCESS', 'BLOCKED']);
    expect([call('TDH.MEM.RANGE.UNBLOCK'), stateAt(rig, 0, 0)]).toEqual(['TDX_SUCCESS', 'MAPPED']);
  });
});

describe('MR.EXTEND and MR.FINALIZE', () => {
  const extend = (rig: TdRig, rcx: number): Call =>
    rig.call('TDH.MR.EXTEND', { ...rig.mapping(0, 0), rcx });
  test('MR.EXTEND requires 256-byte alignment and a mapped page', () => {
    const rig = newRig();
    for (const rcx of [8, HUGE, 2 ** 47])
      expect(text(extend(rig, rcx))).toBe('TDX_OPERAND_INVALID|RCX');
    const missing = extend(rig, 0);
    expect(text(missing)).toBe('TDX_EPT_ENTRY_NOT_PRESENT|RCX');
    expect([toArchitectural(missing.rcxEntry ?? -1, 0n), missing.rdx]).toEqual([1n << 63n, 0]);
    add(rig, 0);
    expect(text(extend(rig, 256))).toBe('TDX_SUCCESS');
    rig.m.poke(cell(rig, 0, 0), entry(EXPORTED_DIRTY, rig.pageOf(0)));
    expect(text(extend(rig, 256)), 'a page that is not MAPPED').toBe('TDX_EPT_ENTRY_NOT_PRESENT');
  });
  test('MR.EXTEND and PAGE.ADD of version 1.0 are busy while the tree is locked', () => {
    const rig = newRig({ module: '1.0' });
    rig.m.poke(rig.memory.word(TDR, TD.SEPT_LOCK), 1);
    expect(text(extend(rig, 0))).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    const added = rig.call('TDH.MEM.PAGE.ADD', {
      ...rig.mapping(0, 0),
      r8: rig.address(rig.pageOf(0)),
      r9: SOURCE,
    });
    expect(text(added)).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
  });
  test('MR.FINALIZE makes the TD RUNNABLE, and ends MR.EXTEND', () => {
    const rig = newRig();
    rig.must('TDH.MR.FINALIZE', { rcx: rig.address(TDR) });
    expect(rig.m.peek(rig.memory.word(TDR, TD.OP_STATE))).toBe(RUNNABLE);
    expect([
      text(extend(rig, 0)),
      text(rig.call('TDH.MR.FINALIZE', { rcx: rig.address(TDR) })),
    ]).toEqual(['TDX_OP_STATE_INCORRECT', 'TDX_OP_STATE_INCORRECT']);
  });
  test('MR.FINALIZE refuses a TD without vCPUs', () => {
    const rig = newRig();
    rig.m.poke(rig.memory.word(TDR, TD.NUM_VCPUS), 0);
    expect(text(rig.call('TDH.MR.FINALIZE', { rcx: rig.address(TDR) }))).toBe('TDX_NO_VCPUS');
  });
});

describe('PAMT that contradicts the tree', () => {
  test.for(['TDH.MEM.PAGE.REMOVE', 'TDH.MEM.PAGE.RELOCATE'])(
    '%s halts the module when PAMT contradicts the tree',
    (name) => {
      const rig = newRig();
      add(rig, 0);
      rig.m.poke(rig.tdx.pamt.meta(rig.pageOf(0), 0), NDA);
      expect(
        text(rig.call(name, { ...rig.mapping(0, 0), r8: rig.address(rig.sparePage(0)) })),
      ).toBe('MODULE_HALT');
      expect(rig.m.peek(rig.memory.word(TDR, TD.SEPT_LOCK)), 'a halted call releases nothing').toBe(
        2,
      );
    },
  );
});

describe('a page operand that is the TDR', () => {
  test('PAGE.AUG with the TDR as its page is busy, because the call itself has it locked', () => {
    const rig = newRig();
    const own = rig.call('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(TDR) });
    expect([text(own), own.busyLock]).toEqual(['TDX_OPERAND_BUSY|R8', rig.tdx.pamt.lock(TDR, 0)]);
    const range = rig.call('TDH.MEM.PAGE.AUG', { ...rig.mapping(2, 1), r8: rig.address(TDR) });
    expect([text(range), range.busyLock]).toEqual([
      'TDX_OPERAND_BUSY|R8',
      rig.tdx.pamt.lock(TDR, 1),
    ]);
  });
});
