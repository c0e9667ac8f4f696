/** Zero-step mitigation. Source: module notes §3 (VP.ENTER). */
import { describe, expect, test } from 'vitest';
import { atomically } from '../../../spec/machine/step.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { listGpa } from '../../../spec/tdx/stepping.ts';
import { MAX_LISTED, TD, VP } from '../../../spec/tdx/td.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

/** EPT violations at one RIP that are let pass. */
const THRESHOLD = 6;

function world() {
  const w = new TdRig({ module: '1.5' });
  w.addTables(0);
  const tdvpr = w.tdvpr(0);
  const enter = (): Call => w.call('TDH.VP.ENTER', { rcx: w.address(tdvpr) });
  const access = (gfn: number): Call => w.call('HW.GUEST.ACCESS', { rcx: gfn * 4096, vcpu: tdvpr });
  return {
    w,
    tdvpr,
    enter,
    access,
    /** Enters and faults `times` times at `gfn`, without getting on. */
    fault: (times: number, gfn = 0): void => {
      for (let i = 0; i < times; i++) {
        enter();
        access(gfn);
      }
    },
    listed: (): number => w.m.peek(w.memory.word(tdvpr, VP.LISTED)),
    /** Adds and accepts a page, by the other vCPU. */
    map: (gfn: number): void => {
      w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(gfn, 0), r8: w.address(w.pageOf(gfn)) });
      w.must('TDH.VP.ENTER', { rcx: w.address(w.tdvpr(1)), lp: 1 });
      w.must('TDG.MEM.PAGE.ACCEPT', { rcx: w.mapping(gfn, 0).rcx, vcpu: w.tdvpr(1), lp: 1 });
      atomically(w.exit(1));
    },
  };
}
const text = (call: Call): string => describeStatus(call.status);

describe('a vCPU that faults at one RIP', () => {
  test('enters as often as the threshold says, and from then on only when what it faulted at is there', () => {
    const { w, enter, fault, listed, map, access } = world();
    fault(THRESHOLD);
    expect([listed(), text(enter())]).toEqual([0, 'TDX_SUCCESS']);
    access(0);
    expect(listed()).toBe(1);
    const refused = enter();
    expect([text(refused), refused.exitReason, refused.rcx, refused.r8]).toEqual([
      'VMEXIT_EPT_VIOLATION',
      48,
      2,
      0,
    ]);
    expect([
      w.isInside(0),
      w.m.peek(w.memory.word(TDR, TD.REFCOUNT_ODD)),
      w.m.peek(w.memory.word(TDR, TD.SEPT_LOCK)),
    ]).toEqual([false, 0, 0]);
    map(0);
    expect(text(enter())).toBe('TDX_SUCCESS');
    expect(w.m.peek(w.memory.word(TDR, TD.SEPT_LOCK)), 'it does not keep the tree').toBe(0);
  });

  test('needs the tree to itself to look, and is refused and taken out of the epoch when it has not', () => {
    const { w, enter, fault } = world();
    fault(THRESHOLD + 1);
    w.m.poke(w.memory.word(TDR, TD.SEPT_LOCK), 2);
    expect(text(enter())).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    expect([w.isInside(0), w.m.peek(w.memory.word(TDR, TD.REFCOUNT_ODD))]).toEqual([false, 0]);
  });

  test('is forgiven once its RIP has moved on since it entered', () => {
    const { w, enter, fault, listed, access, map } = world();
    fault(THRESHOLD + 2);
    map(0);
    enter();
    expect(access(0).exitReason).toBe(-1);
    access(1);
    expect([listed(), w.m.peek(w.memory.word(w.tdvpr(0), VP.VIOLATIONS))]).toEqual([0, 1]);
  });

  test('has each GPA listed once, the last that there is room for included, and no more', () => {
    const { w, tdvpr, listed } = world();
    for (let i = 0; i < MAX_LISTED + 3; i++) {
      for (const gpa of [i * 4096, i * 4096 + 8]) listGpa(w.tdx, tdvpr, gpa);
      expect(listed()).toBe(Math.min(i + 1, MAX_LISTED));
    }
  });

  test('has all of the listed GPAs looked at, the high ones too', () => {
    const { w, tdvpr, enter, map } = world();
    const far = (2 ** 30 + 1) * 4096; // GFN 1, as far as the small tree is concerned
    map(0);
    listGpa(w.tdx, tdvpr, 0);
    listGpa(w.tdx, tdvpr, far);
    const refused = enter();
    expect([text(refused), refused.r8]).toEqual(['VMEXIT_EPT_VIOLATION', far]);
  });
});

test('in both module versions the filter takes the tree exclusively', () => {
  for (const module of ['1.5', '1.0'] as const) {
    const { locking } = new TdRig({ module }).tdx;
    expect(locking.call(new TdRig({ module }).tdx, 'TDH.VP.ENTER')).toEqual({
      tree: 2,
      entryLock: false,
    });
  }
});
