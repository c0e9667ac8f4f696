/** TLB tracking. Source: epoch notes of the recordings. */
import { describe, expect, test } from 'vitest';
import { atomically } from '../../../spec/machine/step.ts';
import { stateName, stateOf } from '../../../spec/tdx/entry.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD, VP } from '../../../spec/tdx/td.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

/** A TD that can run, with a page at GFN 0. */
function world(finalize = true): TdRig {
  const w = new TdRig({ module: '1.5', finalize });
  w.addTables(0);
  w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), r8: w.address(w.pageOf(0)) });
  return w;
}

const status = (w: TdRig, name: string, level = 0): string =>
  describeStatus(w.call(name, { ...w.mapping(0, level), r8: w.address(w.sparePage(0)) }).status);
const track = (w: TdRig): string =>
  describeStatus(w.call('TDH.MEM.TRACK', { rcx: w.address(TDR) }).status);
const enter = (w: TdRig, vcpu: number): string =>
  describeStatus(w.call('TDH.VP.ENTER', { rcx: w.address(w.tdvpr(vcpu)), lp: vcpu }).status);
const set = (w: TdRig, field: number, value: number): void =>
  w.m.poke(w.memory.word(TDR, field), value);
const get = (w: TdRig, field: number): number => w.m.peek(w.memory.word(TDR, field));

describe('a blocked page is tracked', () => {
  const EPOCH = 10;
  /** BEPOCH, REFCOUNT of even and odd epochs, tracked? */
  test.for([
    [11, 0, 0, false],
    [10, 0, 0, false],
    [9, 0, 0, true],
    [9, 0, 1, false],
    [9, 1, 0, true],
    [8, 0, 0, true],
    [8, 3, 3, true],
    [0, 1, 1, true],
  ] as const)(
    'in epoch 10: blocked in %i, REFCOUNT %i and %i: %s',
    ([bepoch, even, odd, tracked]) => {
      for (const name of [
        'TDH.MEM.PAGE.REMOVE',
        'TDH.MEM.PAGE.RELOCATE',
        'TDH.MEM.RANGE.UNBLOCK',
      ]) {
        const w = world();
        w.must('TDH.MEM.RANGE.BLOCK', w.mapping(0, 0));
        set(w, TD.TD_EPOCH, EPOCH);
        set(w, TD.REFCOUNT_EVEN, even);
        set(w, TD.REFCOUNT_ODD, odd);
        w.m.poke(w.tdx.pamt.bepoch(w.pageOf(0), 0), bepoch);
        const operand = name.endsWith('UNBLOCK') ? 'SEPT_TREE' : 'RCX';
        expect(status(w, name)).toBe(
          tracked ? 'TDX_SUCCESS' : `TDX_TLB_TRACKING_NOT_DONE|${operand}`,
        );
      }
    },
  );
});

describe('in a TD that can run', () => {
  test('nothing is taken away that is not blocked', () => {
    for (const name of ['TDH.MEM.PAGE.REMOVE', 'TDH.MEM.PAGE.RELOCATE']) {
      expect(status(world(), name)).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
    }
    for (const name of ['TDH.MEM.SEPT.REMOVE', 'TDH.MEM.PAGE.PROMOTE']) {
      expect(status(world(), name, 1)).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
    }
  });
  test('blocking stamps the epoch, blocking again says so, unblocking wants tracking', () => {
    const w = world();
    expect([track(w), track(w), get(w, TD.TD_EPOCH)]).toEqual(['TDX_SUCCESS', 'TDX_SUCCESS', 3]);
    expect(status(w, 'TDH.MEM.RANGE.BLOCK')).toBe('TDX_SUCCESS');
    expect(w.m.peek(w.tdx.pamt.bepoch(w.pageOf(0), 0))).toBe(3);
    expect(status(w, 'TDH.MEM.RANGE.BLOCK')).toBe('TDX_GPA_RANGE_ALREADY_BLOCKED|RCX');
    expect(status(w, 'TDH.MEM.RANGE.UNBLOCK')).toBe('TDX_TLB_TRACKING_NOT_DONE|SEPT_TREE');
    track(w);
    expect(status(w, 'TDH.MEM.RANGE.UNBLOCK')).toBe('TDX_SUCCESS');
  });
  test('a table is stamped in the PAMT entry of its page, its children are not, and cannot be reached', () => {
    const w = world();
    track(w);
    expect(status(w, 'TDH.MEM.RANGE.BLOCK', 1)).toBe('TDX_SUCCESS');
    expect(
      [w.tablePage(0, 1), w.pageOf(0)].map((page) => w.m.peek(w.tdx.pamt.bepoch(page, 0))),
    ).toEqual([2, 0]);
    for (const name of ['TDH.MEM.SEPT.RD', 'TDH.MEM.RANGE.BLOCK', 'TDH.MEM.PAGE.REMOVE']) {
      expect(status(w, name)).toBe('TDX_EPT_WALK_FAILED|RCX');
    }
    track(w);
    expect(status(w, 'TDH.MEM.SEPT.REMOVE', 1)).toBe('TDX_EPT_PAGE_NOT_FREE|RCX');
  });
});

describe('TRACK', () => {
  test('waits for the vCPUs of the previous epoch, not for those of the current one', () => {
    const w = world();
    expect([enter(w, 0), track(w), track(w)]).toEqual([
      'TDX_SUCCESS',
      'TDX_SUCCESS',
      'TDX_PREVIOUS_TLB_EPOCH_BUSY',
    ]);
    expect([get(w, TD.REFCOUNT_EVEN), get(w, TD.REFCOUNT_ODD)], 'it entered in epoch 1').toEqual([
      0, 1,
    ]);
    expect(enter(w, 1)).toBe('TDX_SUCCESS');
    expect([get(w, TD.REFCOUNT_EVEN), get(w, TD.REFCOUNT_ODD)]).toEqual([1, 1]);
    atomically(w.exit(0));
    expect([track(w), track(w)]).toEqual(['TDX_SUCCESS', 'TDX_PREVIOUS_TLB_EPOCH_BUSY']);
  });
  test('is refused while somebody samples the epoch', () => {
    const w = world();
    set(w, TD.EPOCH_LOCK, 2);
    expect(track(w)).toBe('TDX_OPERAND_BUSY|TD_EPOCH');
  });
  test('a vCPU flushes when the epoch has moved on since it last entered, and only then', () => {
    const w = world();
    const flushed: number[] = [];
    w.tdx.listeners.push({ tlbFlushed: (tdvpr) => flushed.push(tdvpr) });
    const reenter = (): number => {
      atomically(w.exit(0));
      enter(w, 0);
      return flushed.length;
    };
    enter(w, 0);
    const first = flushed.length;
    expect(reenter()).toBe(first);
    track(w);
    expect(reenter()).toBe(first + 1);
    expect(w.m.peek(w.memory.word(w.tdvpr(0), VP.VCPU_EPOCH))).toBe(2);
  });
});

test('while the TD is being built nothing has to be blocked or tracked', () => {
  const w = world(false);
  expect(status(w, 'TDH.MEM.PAGE.RELOCATE')).toBe('TDX_SUCCESS');
  expect(status(w, 'TDH.MEM.RANGE.BLOCK')).toBe('TDX_SUCCESS');
  expect(status(w, 'TDH.MEM.RANGE.UNBLOCK')).toBe('TDX_SUCCESS');
  expect(status(w, 'TDH.MEM.PAGE.REMOVE')).toBe('TDX_SUCCESS');
  const cell = w.memory.word(tableAt(w.tdx, TDR, 0, 0), 0);
  expect(stateName(stateOf(w.m.peek(cell)))).toBe('FREE');
  expect(status(w, 'TDH.MEM.SEPT.REMOVE', 1)).toBe('TDX_SUCCESS');
});
