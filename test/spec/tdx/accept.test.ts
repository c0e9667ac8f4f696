/** TDG.MEM.PAGE.ACCEPT. Source: module notes §4. */
import { describe, expect, test } from 'vitest';
import { atomically, kindOf, READ, RMW } from '../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../spec/tdx/call.ts';
import {
  entry,
  EXPORTED_DIRTY,
  MAPPED,
  pageOf,
  PENDING,
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
 * A running TD with vCPU 0 inside. A "2 MiB" page is four pages here, so that it can be interrupted
 * three times.
 */
function world(options: Partial<TdRigOptions> = {}): TdRig {
  const w = new TdRig({ module: '1.5', indexBits: 2, ...options });
  for (let page = w.firstPage; page < w.memory.pages; page++) w.use(page);
  w.must('TDH.VP.ENTER', { rcx: w.address(w.tdvpr(0)) });
  return w;
}

const operands = (w: TdRig, level: number, interruptAfter = -1): Partial<Operands> => ({
  rcx: w.mapping(0, level).rcx,
  vcpu: w.tdvpr(0),
  interruptAfter,
});
const accept = (w: TdRig, level: number, interruptAfter = -1): Call =>
  w.call('TDG.MEM.PAGE.ACCEPT', operands(w, level, interruptAfter));
const add = (w: TdRig, level: number): void => {
  w.addTables(0, level + 1);
  w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, level), r8: w.address(w.pageOf(0)) });
};
const cellOf = (w: TdRig, level: number): number => w.memory.word(tableAt(w.tdx, TDR, 0, level), 0);
const stateAt = (w: TdRig, level: number): string => stateName(stateOf(w.m.peek(cellOf(w, level))));
const word = (w: TdRig, offset: number): number => w.m.peek(w.memory.word(w.pageOf(0) + offset, 0));
const rip = (w: TdRig): number => w.m.peek(w.memory.word(w.tdvpr(0), VP.RIP));

describe('a pending page', () => {
  test.for([0, 1])('at level %i is zeroed and mapped, and the guest goes on', (level) => {
    const w = world();
    add(w, level);
    expect(word(w, 0)).not.toBe(0);
    const before = rip(w);
    expect(describeStatus(accept(w, level).status)).toBe('TDX_SUCCESS');
    expect([stateAt(w, level), word(w, 0), rip(w)]).toEqual(['MAPPED', 0, before + 1]);
    expect(word(w, 1) === 0, 'only its own pages').toBe(level === 1);
    expect(describeStatus(accept(w, level).status)).toBe(
      `TDX_PAGE_ALREADY_ACCEPTED|level ${level}`,
    );
  });

  test('of 2 MiB counts how far it has come when it is interrupted, and goes on from there', () => {
    const w = world();
    add(w, 1);
    const before = rip(w);
    const progress = (): number => pageOf(w.m.peek(cellOf(w, 1))) - w.pageOf(0);
    const first = accept(w, 1, 1);
    expect([first.interrupted, describeStatus(first.status)]).toEqual([true, 'TDX_SUCCESS']);
    expect([stateAt(w, 1), progress(), rip(w)]).toEqual(['PENDING', 1, before]);
    expect([word(w, 0), word(w, 1) !== 0]).toEqual([0, true]);
    w.use(w.pageOf(0)); // what was zeroed is not zeroed again
    expect([accept(w, 1, 2).interrupted, progress(), word(w, 0) !== 0]).toEqual([true, 3, true]);
    // no look after the last page
    expect([accept(w, 1, 1).interrupted, stateAt(w, 1), progress()]).toEqual([false, 'MAPPED', 0]);
  });

  test('loses its progress to RANGE.BLOCK', () => {
    const w = world();
    add(w, 1);
    accept(w, 1, 2);
    w.must('TDH.MEM.RANGE.BLOCK', w.mapping(0, 1));
    expect([stateAt(w, 1), pageOf(w.m.peek(cellOf(w, 1)))]).toEqual([
      'PENDING_BLOCKED',
      w.pageOf(0),
    ]);
  });

  test('that waits for acceptance after an export becomes EXPORTED_DIRTY', () => {
    const w = world();
    add(w, 0);
    w.m.poke(cellOf(w, 0), entry(PENDING_EXPORTED_DIRTY, w.pageOf(0)));
    accept(w, 0);
    expect(stateOf(w.m.peek(cellOf(w, 0)))).toBe(EXPORTED_DIRTY);
  });
});

describe('what is not pending', () => {
  test('a table at that level is a page of another size', () => {
    const w = world();
    add(w, 0);
    expect(describeStatus(accept(w, 1).status)).toBe('TDX_PAGE_SIZE_MISMATCH|level 1');
  });
  test('an accepted page above that level is accepted already', () => {
    const w = world();
    add(w, 1);
    accept(w, 1);
    expect(describeStatus(accept(w, 0).status)).toBe('TDX_PAGE_ALREADY_ACCEPTED|level 1');
  });
  test.for([2, 7])('level %i is no level to accept', (level) => {
    const w = world();
    const call = w.call('TDG.MEM.PAGE.ACCEPT', { ...operands(w, 0), rcx: level });
    expect(describeStatus(call.status)).toBe('TDX_OPERAND_INVALID|RCX');
  });

  /**
   * Requested level, faulting level and state code, leaf: as the extended exit qualification packs
   * them.
   */
  const details = (requested: number, level: number, code: number, leaf: boolean): number =>
    1 + (requested | (level << 3) | (code << 6) | (leaf ? 1 << 14 : 0)) * 2 ** 32;

  test.for([
    ['nothing', 0, (w: TdRig) => w.addTables(0), details(0, 0, 0, false), 2],
    ['no table', 0, () => {}, details(0, 3, 0, false), 2],
    ['a pending page above', 0, (w: TdRig) => add(w, 1), details(0, 1, 2, true), 2],
    [
      'a blocked page',
      0,
      (w: TdRig) => {
        add(w, 0);
        w.must('TDH.MEM.RANGE.BLOCK', w.mapping(0, 0));
      },
      details(0, 0, 3, true),
      2,
    ],
  ] as const)(
    '%s: the vCPU leaves the TD, and the VMM is told why',
    ([, level, prepare, extended, qualification]) => {
      const w = world();
      prepare(w);
      const before = rip(w);
      const call = accept(w, level);
      expect([call.exitReason, call.rcx, call.rdx, call.r8]).toEqual([
        48,
        qualification,
        extended,
        0,
      ]);
      expect([w.isInside(0), rip(w), call.interrupted]).toEqual([false, before, false]);
    },
  );
});

describe('module 1.0', () => {
  const setting = { module: '1.0' } as const;

  test('takes no entry lock: a host that is refused nothing is what it races with', () => {
    const w = world(setting);
    add(w, 0);
    const locked: number[] = [];
    w.tdx.locks.listeners.push({
      taken: (cell) => locked.push(cell),
      refused: () => {},
      released: () => {},
    });
    expect(describeStatus(accept(w, 0).status)).toBe('TDX_SUCCESS');
    expect([locked, stateAt(w, 0)]).toEqual([[], 'MAPPED']);
  });

  test('ACCEPT whose entry is blocked meanwhile is OPERAND_BUSY|RCX, and leaves it blocked', () => {
    const w = world(setting);
    add(w, 0);
    const racing = w.invoke('TDG.MEM.PAGE.ACCEPT', operands(w, 0));
    runUntil(racing, (announced) => kindOf(announced) === RMW);
    w.must('TDH.MEM.RANGE.BLOCK', w.mapping(0, 0));
    expect(describeStatus(atomically(racing).status)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(stateAt(w, 0)).toBe('PENDING_BLOCKED');
  });

  test('RANGE.BLOCK whose page is accepted meanwhile is OPERAND_BUSY|RCX, and leaves it accepted', () => {
    const w = world(setting);
    add(w, 0);
    const racing = w.invoke('TDH.MEM.RANGE.BLOCK', w.mapping(0, 0));
    runUntil(racing, (announced) => kindOf(announced) === RMW && announced >>> 3 === cellOf(w, 0));
    expect(describeStatus(accept(w, 0).status)).toBe('TDX_SUCCESS');
    const block = atomically(racing);
    expect([describeStatus(block.status), stateAt(w, 0)]).toEqual([
      'TDX_OPERAND_BUSY|RCX',
      'MAPPED',
    ]);
    expect(stateOf(block.rcxEntry ?? 0), 'it reports the entry as it read it').toBe(PENDING);
  });

  test('a page that is added between the walk and the second look is accepted', () => {
    const w = world(setting);
    w.addTables(0);
    const racing = w.invoke('TDG.MEM.PAGE.ACCEPT', operands(w, 0));
    let reads = 0;
    runUntil(
      racing,
      (announced) =>
        kindOf(announced) === READ && announced >>> 3 === cellOf(w, 0) && ++reads === 2,
    );
    w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), r8: w.address(w.pageOf(0)) });
    expect(describeStatus(atomically(racing).status)).toBe('TDX_SUCCESS');
    expect(stateOf(w.m.peek(cellOf(w, 0)))).toBe(MAPPED);
  });
});

describe('a guest access, as the module emulates it', () => {
  const access = (w: TdRig, gpa = 8): Call =>
    w.call('HW.GUEST.ACCESS', { rcx: gpa, vcpu: w.tdvpr(0) });

  test('is translated when the page is accepted', () => {
    const w = world();
    add(w, 1);
    accept(w, 1);
    expect(access(w, 4096 * 2 + 8).rcx).toBe(w.address(w.pageOf(0) + 2) + 8);
  });
  const SEPT_VE_DISABLE = 1n << 28n;
  test.for([
    [0n, true],
    [SEPT_VE_DISABLE, false],
  ] as const)('of a pending page, ATTRIBUTES %i: #VE %s', (row) => {
    const [attributes, injected] = row;
    const w = world({ params: { attributes } });
    add(w, 0);
    const call = access(w);
    expect([call.injectedVe, call.exitReason, w.isInside(0)]).toEqual([
      injected,
      injected ? -1 : 48,
      injected,
    ]);
    if (!injected) expect([call.rcx, call.rdx, call.r8]).toEqual([2, 6, 8]);
  });
  test('of nothing ends in an EPT violation', () => {
    const w = world();
    const call = access(w);
    expect([call.exitReason, call.rdx, w.isInside(0)]).toEqual([48, 0, false]);
  });
});
