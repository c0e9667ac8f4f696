/** TDH.MEM.RD and TDH.MEM.WR. Source: spec/tdx/debug-access.ts. */
import { describe, expect, test } from 'vitest';
import { atomically, cellOf, kindOf, WRITE } from '../../../spec/machine/step.ts';
import { HUGE, type Call } from '../../../spec/tdx/call.ts';
import { entry, ENTRY_LOCK, EXPORTED_DIRTY } from '../../../spec/tdx/entry.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { TDR, TdRig, type TdRigOptions } from '../../support/td-rig.ts';
import { runUntil } from './schedules.ts';

const DEBUG = { attributes: 1n } as const;

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
    r9: 0x1000_0000,
  });
const cell = (rig: TdRig, gfn: number, level: number): number =>
  rig.memory.word(tableAt(rig.tdx, TDR, gfn, level), rig.tdx.geometry.index(gfn, level));
/** The same status, `n` times. */
const times = (n: number, answer: string): string[] => Array.from({ length: n }, () => answer);

describe('debug access', () => {
  const read = (rig: TdRig, rcx: number): Call =>
    rig.call('TDH.MEM.RD', { ...rig.mapping(0, 0), rcx });
  const write = (rig: TdRig, rcx: number, data: number): Call =>
    rig.call('TDH.MEM.WR', { ...rig.mapping(0, 0), rcx, data });

  test('MEM.RD returns what MEM.WR wrote, at any page size', () => {
    const rig = newRig({ params: DEBUG });
    add(rig, 0);
    add(rig, 1);
    rig.must('TDH.MEM.PAGE.PROMOTE', rig.mapping(0, 1));
    const gpa = 4096 + 24;
    expect([text(write(rig, gpa, 7)), write(rig, gpa, 9).data, read(rig, gpa).data]).toEqual([
      'TDX_SUCCESS',
      7,
      9,
    ]);
    expect([read(rig, 4096 + 16).data, rig.m.peek(rig.memory.word(rig.pageOf(1), 3))]).toEqual([
      0, 9,
    ]);
  });
  test('MEM.WR overwrites what the guest wrote between its load and its store (F14)', () => {
    const rig = newRig({ params: DEBUG });
    add(rig, 0);
    const word = rig.memory.word(rig.pageOf(0), 0);
    const writing = rig.invoke('TDH.MEM.WR', { ...rig.mapping(0, 0), data: 7 });
    runUntil(writing, (announced) => cellOf(announced) === word && kindOf(announced) === WRITE);
    rig.m.poke(word, 5);
    expect([atomically(writing).data, rig.m.peek(word)]).toEqual([0, 7]);
  });
  test('MEM.RD and MEM.WR refuse a production TD before they look at the GPA', () => {
    const rig = newRig();
    add(rig, 0);
    expect([text(read(rig, 0)), text(write(rig, 0, 7)), text(read(rig, 3))]).toEqual(
      times(3, 'TDX_TD_NON_DEBUG'),
    );
    expect(rig.m.peek(rig.memory.word(rig.pageOf(0), 0))).toBe(0);
  });
  test('MEM.RD and MEM.WR require alignment, a private GPA and a permitted state', () => {
    const rig = newRig({ params: DEBUG });
    for (const rcx of [4, HUGE, 2 ** 47])
      expect(text(read(rig, rcx))).toBe('TDX_OPERAND_INVALID|RCX');
    expect(text(read(rig, 0))).toBe('TDX_EPT_ENTRY_NOT_PRESENT|RCX');
    rig.m.poke(rig.memory.word(TDR, TD.SEPT_LOCK), 1);
    expect(text(read(rig, 0))).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    rig.m.poke(rig.memory.word(TDR, TD.SEPT_LOCK), 0);
    add(rig, 0);
    rig.m.poke(cell(rig, 0, 0), rig.m.peek(cell(rig, 0, 0)) | ENTRY_LOCK);
    expect([text(read(rig, 0)), text(write(rig, 0, 1))]).toEqual([
      'TDX_OPERAND_BUSY|RCX',
      'TDX_OPERAND_BUSY|RCX',
    ]);
    const states = ['BLOCKEDW', 'EXPORTED_DIRTY'] as const;
    for (const [name, state] of states.map(
      (s) => [s, s === 'BLOCKEDW' ? 8 : EXPORTED_DIRTY] as const,
    )) {
      rig.m.poke(cell(rig, 0, 0), entry(state, rig.pageOf(0)));
      expect(text(read(rig, 0))).toBe('TDX_SUCCESS');
      expect(text(write(rig, 0, 1))).toBe(
        name === 'BLOCKEDW' ? 'TDX_EPT_ENTRY_STATE_INCORRECT|RCX' : 'TDX_SUCCESS',
      );
    }
  });
});
