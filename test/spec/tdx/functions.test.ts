/** What single functions do besides what they share. Source: module notes §3. */
import { describe, expect, test } from 'vitest';
import { ALL_ONES, HUGE, type Call, type Operands } from '../../../spec/tdx/call.ts';
import {
  entry,
  ENTRY_LOCK,
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
function world(options: Partial<TdRigOptions> = {}): TdRig {
  const w = new TdRig({ module: '1.5', finalize: false, ...options });
  w.addTables(0);
  return w;
}
const text = (call: Call): string => describeStatus(call.status);
const add = (w: TdRig, gfn: number): Call =>
  w.must('TDH.MEM.PAGE.ADD', { ...w.mapping(gfn, 0), r8: w.address(w.pageOf(gfn)), r9: SOURCE });
const cell = (w: TdRig, gfn: number, level: number): number =>
  w.memory.word(tableAt(w.tdx, TDR, gfn, level), w.tdx.geometry.index(gfn, level));
const stateAt = (w: TdRig, gfn: number, level: number): string =>
  stateName(stateOf(w.m.peek(cell(w, gfn, level))));
const chldcnt = (w: TdRig): number => w.m.peek(w.memory.word(TDR, TD.CHLDCNT));
/** The same answer, `n` times. */
const times = (n: number, answer: string): string[] => Array.from({ length: n }, () => answer);

describe('SEPT.ADD', () => {
  const call = (w: TdRig, gfn: number, more: Partial<Operands> = {}): Call =>
    w.call('TDH.MEM.SEPT.ADD', {
      ...w.mapping(gfn, 1),
      r8: w.address(w.tablePage(gfn, 1)),
      ...more,
    });
  const NONE = { r9: ALL_ONES, r10: ALL_ONES, r11: ALL_ONES };

  test('links a table of FREE entries that the TD owns, and says that the page is used up', () => {
    const w = world();
    w.use(w.tablePage(2, 1));
    const { r8 } = call(w, 2);
    expect([r8, stateAt(w, 2, 1), stateAt(w, 2, 0)]).toEqual([ALL_ONES, 'NL_MAPPED', 'FREE']);
    expect([w.tdx.pamt.type(w.tablePage(2, 1), 0), w.tdx.pamt.owner(w.tablePage(2, 1), 0)]).toEqual(
      [EPT, TDR],
    );
  });
  test('has versions 0 and 1, of which 1 takes pages for L2 VMs that there are not', () => {
    const w = world();
    expect(text(call(w, 2, { version: 2 }))).toBe('TDX_OPERAND_INVALID');
    for (const register of ['r9', 'r10', 'r11'] as const) {
      const answer = text(call(w, 2, { version: 1, ...NONE, [register]: 0x1000 }));
      expect(answer).toBe(`TDX_OPERAND_INVALID|${register.toUpperCase()}`);
    }
    expect(text(call(w, 2, { version: 1, ...NONE }))).toBe('TDX_SUCCESS');
  });
  test('accepts a table that is there when it is told to, and gives the page back marked', () => {
    const w = world();
    const flag = { rdx: w.address(TDR) + 1 };
    expect(text(call(w, 0))).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    const accepted = call(w, 0, flag);
    expect([text(accepted), accepted.r8]).toEqual([
      'TDX_SUCCESS',
      w.address(w.tablePage(0, 1)) + NOT_NEEDED,
    ]);
    // the mark is ignored on the way in
    expect(text(call(w, 2, { r8: NOT_NEEDED + w.address(w.tablePage(2, 1)) }))).toBe('TDX_SUCCESS');
    expect(text(call(w, 2, { rdx: w.address(TDR) + 2 }))).toBe('TDX_OPERAND_INVALID|RDX');
    expect(text(call(w, 2, { rdx: HUGE }))).toBe('TDX_OPERAND_INVALID|RDX');
  });
  test('without a page, in version 1, is about a table that is there', () => {
    const w = world();
    const none = { version: 1, ...NONE, r8: ALL_ONES };
    expect(text(call(w, 0, { ...none, version: 0 }))).toBe('TDX_OPERAND_INVALID|R8');
    expect(text(call(w, 2, none))).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    expect(text(call(w, 0, none))).toBe('TDX_SUCCESS');
  });
  test('wants a free entry or a table', () => {
    const w = world();
    add(w, 0);
    w.m.poke(cell(w, 2, 1), entry(MAPPED, w.pageOf(2)));
    expect(text(call(w, 2))).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
  });
});

describe('SEPT.REMOVE', () => {
  const call = (w: TdRig, more: Partial<Operands> = {}): Call =>
    w.call('TDH.MEM.SEPT.REMOVE', { ...w.mapping(0, 1), ...more });
  test('gives the page of an empty table back', () => {
    const w = world();
    const before = chldcnt(w);
    const { rcx, r9 } = call(w, { version: 1 });
    expect([rcx, r9]).toEqual([w.address(w.tablePage(0, 1)), ALL_ONES]);
    expect([w.tdx.pamt.type(w.tablePage(0, 1), 0), chldcnt(w)]).toEqual([NDA, before - 1]);
  });
  test('wants every entry FREE: REMOVED counts as used', () => {
    const w = world();
    expect(text(call(w, { version: 2 }))).toBe('TDX_OPERAND_INVALID');
    w.m.poke(cell(w, 1, 0), entry(REMOVED, 0));
    expect(text(call(w))).toBe('TDX_EPT_PAGE_NOT_FREE|RCX');
    w.m.poke(cell(w, 1, 0), 0);
    w.m.poke(w.tdx.pamt.lock(w.tablePage(0, 1), 0), 1);
    expect(text(call(w)), 'its PAMT entry is locked').toBe('TDX_OPERAND_BUSY|RCX');
    expect(text(w.call('TDH.MEM.SEPT.REMOVE', w.mapping(2, 1)))).toBe(
      'TDX_EPT_ENTRY_STATE_INCORRECT|RCX',
    );
  });
});

describe('SEPT.RD', () => {
  test('reads L2 attributes of debug TDs only', () => {
    const call = (w: TdRig): string =>
      text(w.call('TDH.MEM.SEPT.RD', { ...w.mapping(0, 0), rdx: w.address(TDR) + 1 }));
    expect([call(world()), call(world({ params: DEBUG }))]).toEqual([
      'TDX_OPERAND_INVALID|RDX',
      'TDX_SUCCESS',
    ]);
  });
});

describe('PAGE.ADD', () => {
  const call = (w: TdRig, r9: number): string =>
    text(w.call('TDH.MEM.PAGE.ADD', { ...w.mapping(0, 0), r8: w.address(w.pageOf(0)), r9 }));
  test('copies from shared memory only', () => {
    const bad = [SOURCE + 1, HUGE, 2 ** 52, 33 * 2 ** 46];
    for (const r9 of bad) expect(call(world(), r9)).toBe('TDX_OPERAND_INVALID|R9');
    const w = world();
    expect(call(w, 31 * 2 ** 46 + SOURCE), 'a shared HKID').toBe('TDX_SUCCESS');
    expect([stateAt(w, 0, 0), w.tdx.pamt.type(w.pageOf(0), 0)]).toEqual(['MAPPED', REG]);
    expect(call(w, SOURCE)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
  });
  test('does not copy from the module itself', () => {
    const w = world();
    const platform = Object.assign(w.tdx.platform, { seamrr: [SOURCE / 4096, 2] as const });
    expect([SOURCE, SOURCE + 4096].map((r9) => call(w, r9))).toEqual(
      times(2, 'TDX_OPERAND_INVALID|R9'),
    );
    expect([call(w, SOURCE + 2 * 4096), platform.seamrr]).toEqual([
      'TDX_SUCCESS',
      [SOURCE / 4096, 2],
    ]);
  });
});

describe('PAGE.RELOCATE', () => {
  test('moves the contents, and neither to the page itself nor to one in use', () => {
    const w = world();
    add(w, 0);
    add(w, 1);
    w.use(w.pageOf(0));
    const to = (page: number): Call =>
      w.call('TDH.MEM.PAGE.RELOCATE', { ...w.mapping(0, 0), r8: w.address(page) });
    expect(text(to(w.pageOf(0)))).toBe('TDX_OPERAND_INVALID|R8');
    expect(text(to(w.pageOf(1)))).toBe('TDX_PAGE_METADATA_INCORRECT|R8');
    const word = (page: number): number => w.m.peek(w.memory.word(page, 0));
    const contents = word(w.pageOf(0));
    expect([text(to(w.sparePage(0))), word(w.sparePage(0))]).toEqual(['TDX_SUCCESS', contents]);
    expect([w.tdx.pamt.type(w.pageOf(0), 0), w.tdx.pamt.type(w.sparePage(0), 0)]).toEqual([
      NDA,
      REG,
    ]);
    expect(text(w.call('TDH.MEM.PAGE.RELOCATE', { ...w.mapping(5, 0), r8: 0 }))).toBe(
      'TDX_EPT_WALK_FAILED|RCX',
    );
  });
  test('meets the PAMT entry of the old page locked, or the entry free', () => {
    const w = world();
    const operands = { ...w.mapping(0, 0), r8: w.address(w.sparePage(0)) };
    const call = (): string => text(w.call('TDH.MEM.PAGE.RELOCATE', operands));
    expect(call()).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
    add(w, 0);
    w.m.poke(w.tdx.pamt.lock(w.pageOf(0), 0), 4);
    expect(call()).toBe('TDX_OPERAND_BUSY|RCX');
  });
});

describe('RANGE.BLOCK and RANGE.UNBLOCK', () => {
  test('are about entries that can be blocked, or are', () => {
    const w = world();
    const call = (name: string): string => text(w.call(name, w.mapping(0, 0)));
    expect([
      call('TDH.MEM.RANGE.BLOCK'),
      call('TDH.MEM.RANGE.UNBLOCK'),
      call('TDH.MEM.PAGE.REMOVE'),
    ]).toEqual(times(3, 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX'));
    add(w, 0);
    expect([call('TDH.MEM.RANGE.BLOCK'), stateAt(w, 0, 0)]).toEqual(['TDX_SUCCESS', 'BLOCKED']);
    expect([call('TDH.MEM.RANGE.UNBLOCK'), stateAt(w, 0, 0)]).toEqual(['TDX_SUCCESS', 'MAPPED']);
  });
});

describe('debug access', () => {
  const read = (w: TdRig, rcx: number): Call => w.call('TDH.MEM.RD', { ...w.mapping(0, 0), rcx });
  const write = (w: TdRig, rcx: number, data: number): Call =>
    w.call('TDH.MEM.WR', { ...w.mapping(0, 0), rcx, data });

  test('finds what was written, in the word of the page that it was written to, at any size', () => {
    const w = world({ params: DEBUG });
    add(w, 0);
    add(w, 1);
    w.must('TDH.MEM.PAGE.PROMOTE', w.mapping(0, 1));
    const gpa = 4096 + 24;
    expect([text(write(w, gpa, 7)), write(w, gpa, 9).data, read(w, gpa).data]).toEqual([
      'TDX_SUCCESS',
      7,
      9,
    ]);
    expect([read(w, 4096 + 16).data, w.m.peek(w.memory.word(w.pageOf(1), 3))]).toEqual([0, 9]);
  });
  test('is refused for a production TD, whatever is there', () => {
    const w = world();
    add(w, 0);
    expect([text(read(w, 0)), text(write(w, 0, 7)), text(read(w, 3))]).toEqual(
      times(3, 'TDX_TD_NON_DEBUG'),
    );
    expect(w.m.peek(w.memory.word(w.pageOf(0), 0))).toBe(0);
  });
  test('wants 8 bytes of a private GPA, a page, and one that may be read or written', () => {
    const w = world({ params: DEBUG });
    for (const rcx of [4, HUGE, 2 ** 47])
      expect(text(read(w, rcx))).toBe('TDX_OPERAND_INVALID|RCX');
    expect(text(read(w, 0))).toBe('TDX_EPT_ENTRY_NOT_PRESENT|RCX');
    w.m.poke(w.memory.word(TDR, TD.SEPT_LOCK), 1);
    expect(text(read(w, 0))).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    w.m.poke(w.memory.word(TDR, TD.SEPT_LOCK), 0);
    add(w, 0);
    w.m.poke(cell(w, 0, 0), w.m.peek(cell(w, 0, 0)) | ENTRY_LOCK);
    expect([text(read(w, 0)), text(write(w, 0, 1))]).toEqual([
      'TDX_OPERAND_BUSY|RCX',
      'TDX_OPERAND_BUSY|RCX',
    ]);
    const states = ['BLOCKEDW', 'EXPORTED_DIRTY'] as const;
    for (const [name, state] of states.map(
      (s) => [s, s === 'BLOCKEDW' ? 8 : EXPORTED_DIRTY] as const,
    )) {
      w.m.poke(cell(w, 0, 0), entry(state, w.pageOf(0)));
      expect(text(read(w, 0))).toBe('TDX_SUCCESS');
      expect(text(write(w, 0, 1))).toBe(
        name === 'BLOCKEDW' ? 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX' : 'TDX_SUCCESS',
      );
    }
  });
});

describe('MR.EXTEND and MR.FINALIZE', () => {
  const extend = (w: TdRig, rcx: number): Call =>
    w.call('TDH.MR.EXTEND', { ...w.mapping(0, 0), rcx });
  test('measure 256 bytes of a page that is there', () => {
    const w = world();
    for (const rcx of [8, HUGE, 2 ** 47])
      expect(text(extend(w, rcx))).toBe('TDX_OPERAND_INVALID|RCX');
    const missing = extend(w, 0);
    expect(text(missing)).toBe('TDX_EPT_ENTRY_NOT_PRESENT|RCX');
    expect([toArchitectural(missing.rcxEntry ?? -1, 0n), missing.rdx]).toEqual([1n << 63n, 0]);
    add(w, 0);
    expect(text(extend(w, 256))).toBe('TDX_SUCCESS');
    w.m.poke(cell(w, 0, 0), entry(EXPORTED_DIRTY, w.pageOf(0)));
    expect(text(extend(w, 256)), 'a page, but not one that is being built').toBe(
      'TDX_EPT_ENTRY_NOT_PRESENT',
    );
  });
  test('in version 1.0 meet the tree locked', () => {
    const w = world({ module: '1.0' });
    w.m.poke(w.memory.word(TDR, TD.SEPT_LOCK), 1);
    expect(text(extend(w, 0))).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    const added = w.call('TDH.MEM.PAGE.ADD', {
      ...w.mapping(0, 0),
      r8: w.address(w.pageOf(0)),
      r9: SOURCE,
    });
    expect(text(added)).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
  });
  test('end when the TD can run', () => {
    const w = world();
    w.must('TDH.MR.FINALIZE', { rcx: w.address(TDR) });
    expect(w.m.peek(w.memory.word(TDR, TD.OP_STATE))).toBe(RUNNABLE);
    expect([text(extend(w, 0)), text(w.call('TDH.MR.FINALIZE', { rcx: w.address(TDR) }))]).toEqual([
      'TDX_OP_STATE_INCORRECT',
      'TDX_OP_STATE_INCORRECT',
    ]);
  });
  test('a TD without vCPUs is not finalised', () => {
    const w = world();
    w.m.poke(w.memory.word(TDR, TD.NUM_VCPUS), 0);
    expect(text(w.call('TDH.MR.FINALIZE', { rcx: w.address(TDR) }))).toBe('TDX_NO_VCPUS');
  });
});

describe('PAMT and the tree that disagree', () => {
  test.for(['TDH.MEM.PAGE.REMOVE', 'TDH.MEM.PAGE.RELOCATE'])('%s halts the module', (name) => {
    const w = world();
    add(w, 0);
    w.m.poke(w.tdx.pamt.meta(w.pageOf(0), 0), NDA);
    expect(text(w.call(name, { ...w.mapping(0, 0), r8: w.address(w.sparePage(0)) }))).toBe(
      'MODULE_HALT',
    );
    expect(w.m.peek(w.memory.word(TDR, TD.SEPT_LOCK)), 'which lets go of nothing').toBe(2);
  });
});

describe('a page operand that is the TDR', () => {
  test('is busy, not wrong: the call itself has it locked', () => {
    const w = world();
    const own = w.call('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), r8: w.address(TDR) });
    expect([text(own), own.busyLock]).toEqual(['TDX_OPERAND_BUSY|R8', w.tdx.pamt.lock(TDR, 0)]);
    const range = w.call('TDH.MEM.PAGE.AUG', { ...w.mapping(2, 1), r8: w.address(TDR) });
    expect([text(range), range.busyLock]).toEqual(['TDX_OPERAND_BUSY|R8', w.tdx.pamt.lock(TDR, 1)]);
  });
});
