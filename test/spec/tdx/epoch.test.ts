/** TLB tracking. Source: docs/module-notes.md#tlb-tracking. */
import { describe, expect, test } from 'vitest';
import { atomically } from '../../../spec/machine/step.ts';
import { stateName, stateOf } from '../../../spec/tdx/entry.ts';
import { epochOfWord, isBefore, nextEpoch, wordOfEpoch } from '../../../spec/tdx/epoch.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD, VP } from '../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

/** A TD with a page at GFN 0, by default one that can run. */
function newRig(finalize = true, module: ModuleVersion = '1.5'): TdRig {
  const rig = new TdRig({ module, finalize });
  rig.addTables(0);
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
  return rig;
}

const status = (rig: TdRig, name: string, level = 0): string =>
  describeStatus(
    rig.call(name, { ...rig.mapping(0, level), r8: rig.address(rig.sparePage(0)) }).status,
  );
const track = (rig: TdRig): string =>
  describeStatus(rig.call('TDH.MEM.TRACK', { rcx: rig.address(TDR) }).status);
const enter = (rig: TdRig, vcpu: number): string =>
  describeStatus(rig.call('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(vcpu)), lp: vcpu }).status);
const set = (rig: TdRig, field: number, value: number): void =>
  rig.m.poke(rig.memory.word(TDR, field), value);
const get = (rig: TdRig, field: number): number => rig.m.peek(rig.memory.word(TDR, field));

describe('the tracking check', () => {
  const EPOCH = 10;

  test('module 1.5.01 names the tree where UNBLOCK is not tracked, 1.5.05 the entry', () => {
    const answers = (['1.5.01', '1.5.05'] as const).map((module) => {
      const rig = newRig(true, module);
      expect(enter(rig, 0)).toBe('TDX_SUCCESS');
      rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));
      return status(rig, 'TDH.MEM.RANGE.UNBLOCK');
    });
    expect(answers).toEqual([
      'TDX_TLB_TRACKING_NOT_DONE|SEPT_TREE',
      'TDX_TLB_TRACKING_NOT_DONE|RCX',
    ]);
  });

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
    'a page blocked in epoch %i, with REFCOUNT %i and %i, is tracked in epoch 10: %s',
    ([bepoch, even, odd, tracked]) => {
      for (const name of [
        'TDH.MEM.PAGE.REMOVE',
        'TDH.MEM.PAGE.RELOCATE',
        'TDH.MEM.RANGE.UNBLOCK',
      ]) {
        const rig = newRig();
        rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));
        set(rig, TD.TD_EPOCH, EPOCH);
        set(rig, TD.REFCOUNT_EVEN, even);
        set(rig, TD.REFCOUNT_ODD, odd);
        rig.m.poke(rig.tdx.pamt.bepoch(rig.pageOf(0), 0), bepoch);
        expect(status(rig, name)).toBe(tracked ? 'TDX_SUCCESS' : 'TDX_TLB_TRACKING_NOT_DONE|RCX');
      }
    },
  );
});

describe('a TD that can run', () => {
  test('no call removes, moves or merges a page that is not blocked', () => {
    for (const name of ['TDH.MEM.PAGE.REMOVE', 'TDH.MEM.PAGE.RELOCATE']) {
      expect(status(newRig(), name)).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
    }
    for (const name of ['TDH.MEM.SEPT.REMOVE', 'TDH.MEM.PAGE.PROMOTE']) {
      expect(status(newRig(), name, 1)).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
    }
  });
  test('RANGE.BLOCK stamps TD_EPOCH once, and RANGE.UNBLOCK requires tracking', () => {
    const rig = newRig();
    expect([track(rig), track(rig), get(rig, TD.TD_EPOCH)]).toEqual([
      'TDX_SUCCESS',
      'TDX_SUCCESS',
      3,
    ]);
    expect(status(rig, 'TDH.MEM.RANGE.BLOCK')).toBe('TDX_SUCCESS');
    expect(rig.m.peek(rig.tdx.pamt.bepoch(rig.pageOf(0), 0))).toBe(3);
    expect(status(rig, 'TDH.MEM.RANGE.BLOCK')).toBe('TDX_GPA_RANGE_ALREADY_BLOCKED|RCX');
    expect(status(rig, 'TDH.MEM.RANGE.UNBLOCK')).toBe('TDX_TLB_TRACKING_NOT_DONE|RCX');
    track(rig);
    expect(status(rig, 'TDH.MEM.RANGE.UNBLOCK')).toBe('TDX_SUCCESS');
  });
  test('RANGE.BLOCK of a table stamps the PAMT entry of its page, and hides its children', () => {
    const rig = newRig();
    track(rig);
    expect(status(rig, 'TDH.MEM.RANGE.BLOCK', 1)).toBe('TDX_SUCCESS');
    expect(
      [rig.tablePage(0, 1), rig.pageOf(0)].map((page) => rig.m.peek(rig.tdx.pamt.bepoch(page, 0))),
    ).toEqual([2, 0]);
    for (const name of ['TDH.MEM.SEPT.RD', 'TDH.MEM.RANGE.BLOCK', 'TDH.MEM.PAGE.REMOVE']) {
      expect(status(rig, name)).toBe('TDX_EPT_WALK_FAILED|RCX');
    }
    track(rig);
    expect(status(rig, 'TDH.MEM.SEPT.REMOVE', 1)).toBe('TDX_EPT_PAGE_NOT_FREE|RCX');
  });
});

describe('TRACK', () => {
  test('TRACK waits for the vCPUs of the previous epoch only', () => {
    const rig = newRig();
    expect([enter(rig, 0), track(rig), track(rig)]).toEqual([
      'TDX_SUCCESS',
      'TDX_SUCCESS',
      'TDX_PREVIOUS_TLB_EPOCH_BUSY',
    ]);
    expect(
      [get(rig, TD.REFCOUNT_EVEN), get(rig, TD.REFCOUNT_ODD)],
      'the vCPU entered in epoch 1',
    ).toEqual([0, 1]);
    expect(enter(rig, 1)).toBe('TDX_SUCCESS');
    expect([get(rig, TD.REFCOUNT_EVEN), get(rig, TD.REFCOUNT_ODD)]).toEqual([1, 1]);
    atomically(rig.exit(0));
    expect([track(rig), track(rig)]).toEqual(['TDX_SUCCESS', 'TDX_PREVIOUS_TLB_EPOCH_BUSY']);
  });
  test('TRACK is OPERAND_BUSY while a vCPU samples the epoch', () => {
    const rig = newRig();
    set(rig, TD.EPOCH_LOCK, 2);
    expect(track(rig)).toBe('TDX_OPERAND_BUSY|TD_EPOCH');
  });
  test('VP.ENTER flushes exactly when TD_EPOCH has changed since the vCPU last entered', () => {
    const rig = newRig();
    const flushed: number[] = [];
    rig.tdx.listeners.push({ tlbFlushed: (tdvpr) => flushed.push(tdvpr) });
    const reenter = (): number => {
      atomically(rig.exit(0));
      enter(rig, 0);
      return flushed.length;
    };
    enter(rig, 0);
    const first = flushed.length;
    expect(reenter()).toBe(first);
    track(rig);
    expect(reenter()).toBe(first + 1);
    expect(rig.m.peek(rig.memory.word(rig.tdvpr(0), VP.VCPU_EPOCH))).toBe(2);
  });
});

test('calls need no block and no tracking while the TD is being built', () => {
  const rig = newRig(false);
  expect(status(rig, 'TDH.MEM.PAGE.RELOCATE')).toBe('TDX_SUCCESS');
  expect(status(rig, 'TDH.MEM.RANGE.BLOCK')).toBe('TDX_SUCCESS');
  expect(status(rig, 'TDH.MEM.RANGE.UNBLOCK')).toBe('TDX_SUCCESS');
  expect(status(rig, 'TDH.MEM.PAGE.REMOVE')).toBe('TDX_SUCCESS');
  const cell = rig.memory.word(tableAt(rig.tdx, TDR, 0, 0), 0);
  expect(stateName(stateOf(rig.m.peek(cell)))).toBe('FREE');
  expect(status(rig, 'TDH.MEM.SEPT.REMOVE', 1)).toBe('TDX_SUCCESS');
});

describe('epochs of 63 bits', () => {
  const BIT_63 = 1n << 63n;
  const epochOf = (rig: TdRig): bigint => epochOfWord(get(rig, TD.TD_EPOCH));

  test('a word keeps order and successor of the epochs that can occur', () => {
    const epochs = [
      0n,
      1n,
      2n ** 31n - 1n,
      BIT_63 - 2n,
      BIT_63 - 1n,
      BIT_63,
      BIT_63 + 2n ** 30n - 1n,
    ];
    const words = epochs.map(wordOfEpoch);

    expect(words.map(epochOfWord)).toEqual(epochs);
    for (const [i, earlier] of words.entries())
      for (const later of words.slice(i + 1))
        expect([isBefore(earlier, later), isBefore(later, earlier)]).toEqual([true, false]);
    for (const epoch of [0n, BIT_63 - 2n, BIT_63 - 1n])
      expect(epochOfWord(nextEpoch(wordOfEpoch(epoch)))).toBe(epoch + 1n);
    for (const epoch of [-1n, 2n ** 31n, BIT_63 - 2n ** 30n - 1n, BIT_63 + 2n ** 30n])
      expect(() => wordOfEpoch(epoch)).toThrow(`epoch ${epoch} is neither small nor close to 2^63`);
    expect(() => nextEpoch(2 ** 31 - 1)).toThrow('the epoch after 2147483647 has no word');
  });

  test('TRACK of 1.5.05 halts at epoch 2^63 - 1, with the epoch written and its locks held', () => {
    const rig = newRig(true, '1.5.05');
    set(rig, TD.TD_EPOCH, wordOfEpoch(BIT_63 - 3n));

    expect([track(rig), epochOf(rig)]).toEqual(['TDX_SUCCESS', BIT_63 - 2n]);
    expect([track(rig), epochOf(rig)]).toEqual(['MODULE_HALT', BIT_63 - 1n]);
    expect([get(rig, TD.EPOCH_LOCK), get(rig, TD.OP_STATE_LOCK)]).not.toContain(0);
    expect(track(rig)).toBe('TDX_OPERAND_BUSY|TD_EPOCH');
  });

  test('TRACK of 1.5.01 goes on, and a page that is blocked then is never tracked', () => {
    const rig = newRig(true, '1.5.01');
    set(rig, TD.TD_EPOCH, wordOfEpoch(BIT_63 - 2n));

    expect([track(rig), track(rig), epochOf(rig)]).toEqual(['TDX_SUCCESS', 'TDX_SUCCESS', BIT_63]);
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));
    expect([track(rig), track(rig), track(rig)]).toEqual(Array(3).fill('TDX_SUCCESS'));
    expect(status(rig, 'TDH.MEM.PAGE.REMOVE')).toBe('TDX_TLB_TRACKING_NOT_DONE|RCX');
  });

  test('bit 63 has no meaning of its own in 1.0', () => {
    const rig = newRig(true, '1.0');
    set(rig, TD.TD_EPOCH, wordOfEpoch(BIT_63));
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));
    expect(status(rig, 'TDH.MEM.PAGE.REMOVE')).toBe('TDX_TLB_TRACKING_NOT_DONE|RCX');
    track(rig);
    expect(status(rig, 'TDH.MEM.PAGE.REMOVE')).toBe('TDX_SUCCESS');
  });

  test('calls return all 64 bits of an epoch', () => {
    const rig = newRig(true, '1.5.01');
    set(rig, TD.TD_EPOCH, wordOfEpoch(BIT_63 - 1n));
    rig.must('TDH.MEM.RANGE.BLOCK', rig.mapping(0, 0));

    const rdmd = rig.call('TDH.PHYMEM.PAGE.RDMD', { rcx: rig.address(rig.pageOf(0)) });
    const field = 0x9210_0003_0000_0000n;
    const read = rig.call('TDH.MNG.RD', { rcx: rig.address(TDR), field });
    expect([rdmd.wide?.r9, read.wide?.r8]).toEqual([BIT_63 - 1n, BIT_63 - 1n]);
  });
});
