/** Zero-step mitigation. Source: docs/module-notes.md#zero-step-mitigation. */
import { describe, expect, test } from 'vitest';
import { atomically } from '../../../spec/machine/step.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { listGpa } from '../../../spec/tdx/stepping.ts';
import { MAX_LISTED, TD, VP } from '../../../spec/tdx/td.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

/** Number of EPT violations at one RIP before GPAs are listed. */
const THRESHOLD = 6;

function newRig() {
  const rig = new TdRig({ module: '1.5' });
  rig.addTables(0);
  const tdvpr = rig.tdvpr(0);
  const enter = (): Call => rig.call('TDH.VP.ENTER', { rcx: rig.address(tdvpr) });
  const access = (gfn: number): Call =>
    rig.call('HW.GUEST.ACCESS', { rcx: gfn * 4096, vcpu: tdvpr });
  return {
    rig,
    tdvpr,
    enter,
    access,
    /** Enters and faults `times` times at `gfn`, at one RIP. */
    fault: (times: number, gfn = 0): void => {
      for (let i = 0; i < times; i++) {
        enter();
        access(gfn);
      }
    },
    listed: (): number => rig.m.peek(rig.memory.word(tdvpr, VP.LISTED)),
    /** Adds a page, and accepts it on the other vCPU. */
    map: (gfn: number): void => {
      rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(gfn, 0), r8: rig.address(rig.pageOf(gfn)) });
      rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(1)), lp: 1 });
      rig.must('TDG.MEM.PAGE.ACCEPT', { rcx: rig.mapping(gfn, 0).rcx, vcpu: rig.tdvpr(1), lp: 1 });
      atomically(rig.exit(1));
    },
  };
}
const text = (call: Call): string => describeStatus(call.status);

describe('a vCPU that faults at one RIP', () => {
  test('VP.ENTER succeeds up to the threshold, then only once the listed page is mapped', () => {
    const { rig, enter, fault, listed, map, access } = newRig();
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
      rig.isInside(0),
      rig.m.peek(rig.memory.word(TDR, TD.REFCOUNT_ODD)),
      rig.m.peek(rig.memory.word(TDR, TD.SEPT_LOCK)),
    ]).toEqual([false, 0, 0]);
    map(0);
    expect(text(enter())).toBe('TDX_SUCCESS');
    expect(rig.m.peek(rig.memory.word(TDR, TD.SEPT_LOCK)), 'the tree is free again').toBe(0);
  });

  test('VP.ENTER with listed GPAs is refused while the tree is locked, and not counted', () => {
    const { rig, enter, fault } = newRig();
    fault(THRESHOLD + 1);
    rig.m.poke(rig.memory.word(TDR, TD.SEPT_LOCK), 2);
    expect(text(enter())).toBe('TDX_OPERAND_BUSY|SEPT_TREE');
    expect([rig.isInside(0), rig.m.peek(rig.memory.word(TDR, TD.REFCOUNT_ODD))]).toEqual([
      false,
      0,
    ]);
  });

  test('a guest that makes progress empties the list', () => {
    const { rig, enter, fault, listed, access, map } = newRig();
    fault(THRESHOLD + 1);
    map(0);
    enter();
    expect(access(0).exitReason).toBe(-1);
    access(1);
    expect([listed(), rig.m.peek(rig.memory.word(rig.tdvpr(0), VP.VIOLATIONS))]).toEqual([0, 1]);
  });

  test('the list holds each GPA once, up to its capacity', () => {
    const { rig, tdvpr, listed } = newRig();
    for (let i = 0; i < MAX_LISTED + 3; i++) {
      for (const gpa of [i * 4096, i * 4096 + 8]) listGpa(rig.tdx, tdvpr, gpa);
      expect(listed()).toBe(Math.min(i + 1, MAX_LISTED));
    }
  });

  test('VP.ENTER walks to all listed GPAs, also beyond 32 bits of GFN', () => {
    const { rig, tdvpr, enter, map } = newRig();
    const far = (2 ** 30 + 1) * 4096; // GFN 1, as far as the small tree is concerned
    map(0);
    listGpa(rig.tdx, tdvpr, 0);
    listGpa(rig.tdx, tdvpr, far);
    const refused = enter();
    expect([text(refused), refused.r8]).toEqual(['VMEXIT_EPT_VIOLATION', far]);
  });
});

test('the zero-step filter takes the tree exclusively in both module versions', () => {
  for (const module of ['1.5', '1.0'] as const) {
    const { locking } = new TdRig({ module }).tdx;
    expect(locking.call(new TdRig({ module }).tdx, 'TDH.VP.ENTER')).toEqual({
      tree: 2,
      entryLock: false,
    });
  }
});
