/** TDG.MEM.PAGE.ACCEPT. Source: docs/module-notes.md#accept. */
import { describe, expect, test } from 'vitest';
import { atomically, kindOf, READ, RMW } from '../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../spec/tdx/call.ts';
import {
  entry,
  ENTRY_LOCK,
  EXPORTED_DIRTY,
  pageOf,
  PENDING_EXPORTED_DIRTY,
  stateName,
  stateOf,
} from '../../../spec/tdx/entry.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { VP } from '../../../spec/tdx/td.ts';
import { TDR, TdRig, type TdRigOptions } from '../../support/td-rig.ts';
import { runUntil } from './schedules.ts';

/**
 * A running TD with vCPU 0 in the guest. A "2M" page has four pages here, so that ACCEPT of it can
 * be interrupted three times.
 */
function newRig(options: Partial<TdRigOptions> = {}): TdRig {
  const rig = new TdRig({ module: '1.5', fanout: 4, ...options });
  for (let page = rig.firstPage; page < rig.memory.pages; page++) rig.use(page);
  rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(0)) });
  return rig;
}

const operands = (rig: TdRig, level: number, interruptAfter = -1): Partial<Operands> => ({
  rcx: rig.mapping(0, level).rcx,
  vcpu: rig.tdvpr(0),
  interruptAfter,
});
const accept = (rig: TdRig, level: number, interruptAfter = -1): Call =>
  rig.call('TDG.MEM.PAGE.ACCEPT', operands(rig, level, interruptAfter));
const add = (rig: TdRig, level: number): void => {
  rig.addTables(0, level + 1);
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, level), r8: rig.address(rig.pageOf(0)) });
};
const cellOf = (rig: TdRig, level: number): number =>
  rig.memory.word(tableAt(rig.tdx, TDR, 0, level), 0);
const stateAt = (rig: TdRig, level: number): string =>
  stateName(stateOf(rig.m.peek(cellOf(rig, level))));
const word = (rig: TdRig, offset: number): number =>
  rig.m.peek(rig.memory.word(rig.pageOf(0) + offset, 0));
const rip = (rig: TdRig): number => rig.m.peek(rig.memory.word(rig.tdvpr(0), VP.RIP));

/** The extended exit qualification: requested level, faulting level, state code, leaf. */
const details = (requested: number, level: number, code: number, leaf: boolean): number =>
  1 + (requested | (level << 3) | (code << 6) | (leaf ? 1 << 14 : 0)) * 2 ** 32;

describe('ACCEPT of a pending page', () => {
  test.for([0, 1])(
    'ACCEPT at level %i zeroes and maps a pending page, and advances the guest',
    (level) => {
      const rig = newRig();
      add(rig, level);
      expect(word(rig, 0)).not.toBe(0);
      const before = rip(rig);
      expect(describeStatus(accept(rig, level).status)).toBe('TDX_SUCCESS');
      expect([stateAt(rig, level), word(rig, 0), rip(rig)]).toEqual(['MAPPED', 0, before + 1]);
      expect(word(rig, 1) === 0, 'only its own pages').toBe(level === 1);
      expect(describeStatus(accept(rig, level).status)).toBe(
        `TDX_PAGE_ALREADY_ACCEPTED|level ${level}`,
      );
    },
  );

  test('an interrupted ACCEPT of a 2M page stores its progress, and resumes from it', () => {
    const rig = newRig();
    add(rig, 1);
    const before = rip(rig);
    const progress = (): number => pageOf(rig.m.peek(cellOf(rig, 1))) - rig.pageOf(0);
    const first = accept(rig, 1, 1);
    expect([first.interrupted, describeStatus(first.status)]).toEqual([true, 'TDX_SUCCESS']);
    expect([stateAt(rig, 1), progress(), rip(rig)]).toEqual(['PENDING', 1, before]);
    expect([word(rig, 0), word(rig, 1) !== 0]).toEqual([0, true]);
    rig.use(rig.pageOf(0)); // what was zeroed is not zeroed again
    expect([accept(rig, 1, 2).interrupted, progress(), word(rig, 0) !== 0]).toEqual([
      true,
      3,
      true,
    ]);
    // no check after the last page
    expect([accept(rig, 1, 1).interrupted, stateAt(rig, 1), progress()]).toEqual([
      false,
      'MAPPED',
      0,
    ]);
  });

  test('RANGE.BLOCK of a half accepted page discards the progress', () => {
    const rig = newRig();
    add(rig, 1);
    accept(rig, 1, 2);
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 1));
    expect([stateAt(rig, 1), pageOf(rig.m.peek(cellOf(rig, 1)))]).toEqual([
      'PENDING_BLOCKED',
      rig.pageOf(0),
    ]);
  });

  test('ACCEPT of a PENDING_EXPORTED_DIRTY page makes it EXPORTED_DIRTY', () => {
    const rig = newRig();
    add(rig, 0);
    rig.m.poke(cellOf(rig, 0), entry(PENDING_EXPORTED_DIRTY, rig.pageOf(0)));
    accept(rig, 0);
    expect(stateOf(rig.m.peek(cellOf(rig, 0)))).toBe(EXPORTED_DIRTY);
  });
});

describe('ACCEPT of anything else', () => {
  test('ACCEPT finds PAGE_SIZE_MISMATCH at a table of its level', () => {
    const rig = newRig();
    add(rig, 0);
    expect(describeStatus(accept(rig, 1).status)).toBe('TDX_PAGE_SIZE_MISMATCH|level 1');
  });
  test('ACCEPT below an accepted page is PAGE_ALREADY_ACCEPTED', () => {
    const rig = newRig();
    add(rig, 1);
    accept(rig, 1);
    expect(describeStatus(accept(rig, 0).status)).toBe('TDX_PAGE_ALREADY_ACCEPTED|level 1');
  });
  test.for([2, 7])('ACCEPT refuses level %i', (level) => {
    const rig = newRig();
    const call = rig.call('TDG.MEM.PAGE.ACCEPT', { ...operands(rig, 0), rcx: level });
    expect(describeStatus(call.status)).toBe('TDX_OPERAND_INVALID|RCX');
  });

  test.for([
    ['a free entry', 0, (rig: TdRig) => rig.addTables(0), details(0, 0, 0, false), 2],
    ['a missing table', 0, () => {}, details(0, 3, 0, false), 2],
    ['a pending page above', 0, (rig: TdRig) => add(rig, 1), details(0, 1, 2, true), 2],
    [
      'a blocked page',
      0,
      (rig: TdRig) => {
        add(rig, 0);
        rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));
      },
      details(0, 0, 3, true),
      2,
    ],
  ] as const)(
    'ACCEPT at %s exits the TD with an EPT violation that reports the entry',
    ([, level, prepare, extended, qualification]) => {
      const rig = newRig();
      prepare(rig);
      const before = rip(rig);
      const call = accept(rig, level);
      expect([call.exitReason, call.rcx, call.rdx, call.r8]).toEqual([
        48,
        qualification,
        extended,
        0,
      ]);
      expect([rig.isInside(0), rip(rig), call.interrupted]).toEqual([false, before, false]);
    },
  );
});

describe('module 1.0', () => {
  const setting = { module: '1.0' } as const;
  const step = (kind: number, cell: number) => (announced: number) =>
    kindOf(announced) === kind && announced >>> 3 === cell;

  test.for([0, 1])('ACCEPT at level %i of version 1.0 zeroes and maps a pending page', (level) => {
    const rig = newRig(setting);
    add(rig, level);
    const before = rip(rig);
    expect(describeStatus(accept(rig, level).status)).toBe('TDX_SUCCESS');
    expect([stateAt(rig, level), word(rig, 0), rip(rig)]).toEqual(['MAPPED', 0, before + 1]);
    expect(describeStatus(accept(rig, level).status)).toBe(
      `TDX_PAGE_ALREADY_ACCEPTED|level ${level}`,
    );
  });

  test('an ACCEPT of version 1.0 that is interrupted has stored its progress, unlocked', () => {
    const rig = newRig(setting);
    add(rig, 1);
    expect(accept(rig, 1, 2).interrupted).toBe(true);
    const after = rig.m.peek(cellOf(rig, 1));
    expect([pageOf(after) - rig.pageOf(0), after & ENTRY_LOCK]).toEqual([2, 0]);
    expect([accept(rig, 1).interrupted, stateAt(rig, 1)]).toEqual([false, 'MAPPED']);
  });

  test('RANGE.BLOCK of version 1.0 ignores a guest lock, and ACCEPT is OPERAND_BUSY|RCX', () => {
    const rig = newRig(setting);
    add(rig, 0);
    const racing = rig.invoke('TDG.MEM.PAGE.ACCEPT', operands(rig, 0));
    runUntil(racing, step(RMW, cellOf(rig, 0)));
    expect(rig.m.peek(cellOf(rig, 0)) & ENTRY_LOCK).not.toBe(0);
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));
    expect(rig.m.peek(cellOf(rig, 0)) & ENTRY_LOCK, 'the lock stays').not.toBe(0);
    expect(describeStatus(atomically(racing).status)).toBe('TDX_OPERAND_BUSY|RCX');
    expect([stateAt(rig, 0), rig.m.peek(cellOf(rig, 0)) & ENTRY_LOCK]).toEqual([
      'PENDING_BLOCKED',
      0,
    ]);
  });

  test('RANGE.BLOCK of version 1.0 is OPERAND_BUSY|RCX when its page is accepted meanwhile', () => {
    const rig = newRig(setting);
    add(rig, 0);
    const racing = rig.invoke('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));
    runUntil(racing, step(RMW, cellOf(rig, 0)));
    expect(describeStatus(accept(rig, 0).status)).toBe('TDX_SUCCESS');
    const block = atomically(racing);
    expect([describeStatus(block.status), stateAt(rig, 0), block.rcxEntry]).toEqual([
      'TDX_OPERAND_BUSY|RCX',
      'MAPPED',
      null,
    ]);
  });

  test('of two ACCEPTs of one page in version 1.0 the second is OPERAND_BUSY|RCX', () => {
    const rig = newRig(setting);
    rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(1)), lp: 1 });
    add(rig, 0);
    const racing = rig.invoke('TDG.MEM.PAGE.ACCEPT', operands(rig, 0));
    runUntil(racing, step(RMW, cellOf(rig, 0)));
    const second = rig.call('TDG.MEM.PAGE.ACCEPT', { ...operands(rig, 0), vcpu: rig.tdvpr(1) });
    expect(describeStatus(second.status)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(describeStatus(atomically(racing).status)).toBe('TDX_SUCCESS');
  });

  test('ACCEPT of version 1.0 decides on one read: it misses a page that is added later', () => {
    const rig = newRig(setting);
    rig.addTables(0);
    const racing = rig.invoke('TDG.MEM.PAGE.ACCEPT', operands(rig, 0));
    runUntil(racing, step(READ, cellOf(rig, 0)));
    racing.next();
    rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
    const { exitReason, rcx, rdx } = atomically(racing);
    expect([exitReason, rcx, rdx], 'a leaf at level 0, though it is free').toEqual([
      48,
      0,
      details(0, 0, 0, true),
    ]);
    expect(stateAt(rig, 0)).toBe('PENDING');
  });
});

describe('a guest access that the module emulates', () => {
  const access = (rig: TdRig, gpa = 8): Call =>
    rig.call('HW.GUEST.ACCESS', { rcx: gpa, vcpu: rig.tdvpr(0) });

  test('a guest access to an accepted page is translated', () => {
    const rig = newRig();
    add(rig, 1);
    accept(rig, 1);
    expect(access(rig, 4096 * 2 + 8).rcx).toBe(rig.address(rig.pageOf(0) + 2) + 8);
  });
  const SEPT_VE_DISABLE = 1n << 28n;
  test.for([
    [0n, true],
    [SEPT_VE_DISABLE, false],
  ] as const)('a guest access to a pending page under ATTRIBUTES %i injects a #VE: %s', (row) => {
    const [attributes, injected] = row;
    const rig = newRig({ params: { attributes } });
    add(rig, 0);
    const call = access(rig);
    expect([call.injectedVe, call.exitReason, rig.isInside(0)]).toEqual([
      injected,
      injected ? -1 : 48,
      injected,
    ]);
    if (!injected) expect([call.rcx, call.rdx, call.r8]).toEqual([2, 6, 8]);
  });
  test('a guest access to an unmapped GPA ends in an EPT violation', () => {
    const rig = newRig();
    const call = access(rig);
    expect([call.exitReason, call.rdx, rig.isInside(0)]).toEqual([48, 0, false]);
  });
});
