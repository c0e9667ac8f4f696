import { describe, expect, it } from 'vitest';
import { atomically } from '../../../spec/machine/step.ts';
import { HKID_FLUSHED, HKID_FREE, HKID_KOT_ASSIGNED } from '../../../spec/tdx/keys.ts';
import { EXCLUSIVE } from '../../../spec/tdx/locks.ts';
import { NDA } from '../../../spec/tdx/pamt.ts';
import {
  HKID_ASSIGNED,
  INITIALIZED,
  KEYS_CONFIGURED,
  RUNNABLE,
  TD,
  TD_BLOCKED,
  TEARDOWN,
  UNINITIALIZED,
  VCPU_ACTIVE,
  VCPU_READY,
  VP,
} from '../../../spec/tdx/td.ts';
import { FREE_PAGE, HKID, hpa, Stage, TD_PARAMS, TDR, VCPUS } from './stage.ts';

const OTHER_TDR = 28;

function built(): Stage {
  const stage = new Stage();
  stage.build();
  return stage;
}

/** Blocks the TD, writes back, frees its key: nothing but RECLAIM is left. */
function tearDown(stage: Stage): string[] {
  return [
    stage.flush(0),
    stage.flush(1),
    stage.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) }),
    stage.status('TDH.PHYMEM.CACHE.WB'),
    stage.status('TDH.MNG.KEY.FREEID', { rcx: hpa(TDR) }),
  ];
}

describe('a TD', () => {
  it('goes from a free page to RUNNABLE through every stage in order', () => {
    const stage = new Stage(2);
    const { m, keys } = stage.tdx;
    stage.ok('TDH.MNG.CREATE', { rcx: hpa(TDR), rdx: HKID });
    expect([stage.td(TD.LIFECYCLE), m.peek(keys.state(HKID))]).toEqual([
      HKID_ASSIGNED,
      HKID_KOT_ASSIGNED,
    ]);
    stage.ok('TDH.MNG.KEY.CONFIG', { rcx: hpa(TDR), lp: 0 });
    expect(stage.td(TD.LIFECYCLE), 'one package of two has the key').toBe(HKID_ASSIGNED);
    expect(stage.status('TDH.MNG.KEY.CONFIG', { rcx: hpa(TDR), lp: 2 })).toBe('TDX_KEY_CONFIGURED');
    stage.ok('TDH.MNG.KEY.CONFIG', { rcx: hpa(TDR), lp: 1 });
    expect(stage.td(TD.LIFECYCLE)).toBe(KEYS_CONFIGURED);
    const init = (): string =>
      stage.status('TDH.MNG.INIT', { rcx: hpa(TDR), rdx: 0, tdParams: TD_PARAMS });
    expect(init()).toBe('TDX_TDCS_NOT_ALLOCATED');
    for (let i = 1; i <= 6; i++) stage.ok('TDH.MNG.ADDCX', { rcx: hpa(TDR + i), rdx: hpa(TDR) });
    expect([stage.td(TD.OP_STATE), stage.td(TD.CHLDCNT), stage.td(TD.SEPT_ROOT)]).toEqual([
      UNINITIALIZED,
      6,
      TDR + 4,
    ]);
    expect([init(), stage.td(TD.OP_STATE), stage.td(TD.TD_EPOCH)]).toEqual([
      'TDX_SUCCESS',
      INITIALIZED,
      1,
    ]);
    stage.createVcpu(VCPUS[0]);
    expect(stage.status('TDH.MR.FINALIZE', { rcx: hpa(TDR) })).toBe('TDX_NO_VCPUS');
    stage.ok('TDH.VP.INIT', { rcx: hpa(VCPUS[0]), lp: 5 });
    expect([stage.vcpu(0, VP.STATE), stage.lpOf(0), stage.td(TD.NUM_VCPUS)]).toEqual([
      VCPU_READY,
      5,
      1,
    ]);
    stage.ok('TDH.MR.FINALIZE', { rcx: hpa(TDR) });
    expect([stage.td(TD.OP_STATE), stage.td(TD.CHLDCNT)]).toEqual([RUNNABLE, 12]);
  });

  it('gives its pages back in any order once its key is free, the TDR last', () => {
    const stage = built();
    expect(stage.reclaim(VCPUS[0], 1)).toEqual(['TDX_LIFECYCLE_STATE_INCORRECT']);
    expect(tearDown(stage)).toEqual(Array.from({ length: 5 }, () => 'TDX_SUCCESS'));
    expect(stage.td(TD.LIFECYCLE)).toBe(TEARDOWN);
    expect(stage.tdx.m.peek(stage.tdx.keys.state(HKID))).toBe(HKID_FREE);
    expect(stage.reclaim(TDR, 1)).toEqual(['TDX_TD_ASSOCIATED_PAGES_EXIST']);
    expect(stage.reclaim(VCPUS[1], 6)).toEqual(['TDX_SUCCESS']);
    expect(stage.reclaim(TDR + 1, 6)).toEqual(['TDX_SUCCESS']);
    expect(stage.reclaim(VCPUS[0], 6)).toEqual(['TDX_SUCCESS']);
    expect(stage.reclaim(TDR, 1)).toEqual(['TDX_SUCCESS']);
    expect(stage.tdx.pamt.type(TDR, 0)).toBe(NDA);
  });

  it('that is fatal is refused everything but being torn down', () => {
    const stage = built();
    stage.setTd(TD.FATAL, 1);
    expect(stage.enter(0)).toBe('TDX_TD_FATAL');
    expect(stage.status('TDH.MNG.RD', { rcx: hpa(TDR), field: 0x8010_0000_0000_0001n })).toBe(
      'TDX_TD_FATAL',
    );
    expect(stage.status('TDH.MNG.ADDCX', { rcx: hpa(FREE_PAGE), rdx: hpa(TDR) })).toBe(
      'TDX_TD_FATAL',
    );
    expect(tearDown(stage)).toEqual(Array.from({ length: 5 }, () => 'TDX_SUCCESS'));
    expect(stage.reclaim(VCPUS[0], 6)).toEqual(['TDX_SUCCESS']);
  });

  it('whose key was never configured can be blocked and torn down, too', () => {
    const stage = new Stage();
    stage.ok('TDH.MNG.CREATE', { rcx: hpa(TDR), rdx: HKID });
    stage.ok('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) });
    expect([stage.td(TD.LIFECYCLE), stage.tdx.m.peek(stage.tdx.keys.state(HKID))]).toEqual([
      TD_BLOCKED,
      HKID_FLUSHED,
    ]);
    expect(stage.status('TDH.MNG.KEY.FREEID', { rcx: hpa(TDR) })).toBe('TDX_WBCACHE_NOT_COMPLETE');
  });
});

describe('a vCPU in the guest', () => {
  it('keeps TDVPR and TDR from exclusive use until the TD exit', () => {
    const stage = built();
    expect(stage.enter(0)).toBe('TDX_SUCCESS');
    expect([stage.vcpu(0, VP.STATE), stage.counts()]).toEqual([
      VCPU_ACTIVE,
      { even: 0, odd: 1, associated: 2 },
    ]);
    expect(stage.flush(0)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(stage.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) })).toBe('TDX_OPERAND_BUSY|RCX');
    expect(stage.enter(0)).toBe('TDX_VCPU_STATE_INCORRECT');
    stage.exit(0);
    expect([stage.vcpu(0, VP.STATE), stage.counts().odd]).toEqual([VCPU_READY, 0]);
    expect(stage.flush(0)).toBe('TDX_SUCCESS');
  });

  it('is no longer counted, after its exit, in the epoch in which it entered', () => {
    const stage = built();
    stage.enter(0);
    stage.ok('TDH.MEM.TRACK', { rcx: hpa(TDR) });
    stage.enter(1);
    expect(stage.counts()).toMatchObject({ odd: 1, even: 1 });
    expect(stage.status('TDH.MEM.TRACK', { rcx: hpa(TDR) })).toBe('TDX_PREVIOUS_TLB_EPOCH_BUSY');
    stage.exit(0);
    expect(stage.counts()).toMatchObject({ odd: 0, even: 1 });
    expect(stage.status('TDH.MEM.TRACK', { rcx: hpa(TDR) })).toBe('TDX_SUCCESS');
  });
});

/** Keeps a lock of the TD exclusively while `action` runs. */
function whileLocked(stage: Stage, lock: number, action: () => void): void {
  const cell = stage.tdx.memory.word(TDR, lock);
  expect(atomically(stage.tdx.locks.try(cell, 'sharex', EXCLUSIVE))).toBe(true);
  action();
  atomically(stage.tdx.locks.release(cell, 'sharex', EXCLUSIVE));
}

describe('a refused call', () => {
  it('of VP.ENTER for TD_EPOCH leaves the vCPU associated until it is flushed', () => {
    const stage = built();
    stage.flush(0);
    whileLocked(stage, TD.EPOCH_LOCK, () =>
      expect(stage.enter(0, 3)).toBe('TDX_OPERAND_BUSY|TD_EPOCH'),
    );
    expect([stage.lpOf(0), stage.counts()]).toEqual([3, { even: 0, odd: 0, associated: 2 }]);
    expect(stage.enter(0, 4)).toBe('TDX_VCPU_ASSOCIATED');
    stage.flush(1);
    expect(stage.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) })).toBe('TDX_FLUSHVP_NOT_DONE');
    expect(stage.flush(0, 3)).toBe('TDX_SUCCESS');
    expect(stage.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) })).toBe('TDX_SUCCESS');
  });

  it('of VP.ENTER for SEPT_TREE leaves VCPU_EPOCH updated but nobody counted', () => {
    const stage = built();
    fault(stage, 7);
    stage.ok('TDH.MEM.TRACK', { rcx: hpa(TDR) });
    whileLocked(stage, TD.SEPT_LOCK, () =>
      expect(stage.enter(0)).toBe('TDX_OPERAND_BUSY|SEPT_TREE'),
    );
    expect([stage.vcpu(0, VP.VCPU_EPOCH), stage.counts()]).toEqual([
      2,
      { even: 0, odd: 0, associated: 2 },
    ]);
  });

  it('of a host for a PAMT lock leaves the host-priority flag, which the next host clears', () => {
    const stage = built();
    const lock = stage.tdx.pamt.lock(VCPUS[0], 0);
    stage.enter(0);
    expect(stage.flush(0)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(stage.tdx.m.peek(lock) & 2).toBe(2);
    stage.exit(0);
    expect(stage.tdx.m.peek(lock)).toBe(2);
    stage.ok('TDH.PHYMEM.PAGE.RDMD', { rcx: hpa(VCPUS[0]) });
    expect(stage.tdx.m.peek(lock)).toBe(0);
  });

  it('of VP.INIT for a changed IA32_TSC_ADJUST leaves the index taken', () => {
    const stage = new Stage();
    stage.create();
    stage.ok('TDH.MNG.INIT', { rcx: hpa(TDR), rdx: 0, tdParams: { ...TD_PARAMS, maxVcpus: 1 } });
    stage.createVcpu(VCPUS[0]);
    const refused = stage.status('TDH.VP.INIT', {
      rcx: hpa(VCPUS[0]),
      inject: 'tscAdjustMsrChanged',
    });
    expect([refused, stage.td(TD.NUM_VCPUS)]).toEqual(['TDX_INCONSISTENT_MSR|IA32_TSC_ADJUST', 1]);
    expect(stage.status('TDH.VP.INIT', { rcx: hpa(VCPUS[0]) })).toBe('TDX_MAX_VCPUS_EXCEEDED');
    expect(stage.td(TD.NUM_VCPUS), 'what was counted on trial is given back').toBe(1);
  });

  it('of ADDCX for OP_STATE has overwritten the page, which stays free', () => {
    const stage = built();
    const { m, memory, pamt } = stage.tdx;
    m.poke(memory.word(FREE_PAGE, 7), 1234);
    expect(stage.status('TDH.MNG.ADDCX', { rcx: hpa(FREE_PAGE), rdx: hpa(TDR) })).toBe(
      'TDX_OP_STATE_INCORRECT',
    );
    expect([
      m.peek(memory.word(FREE_PAGE, 7)),
      pamt.type(FREE_PAGE, 0),
      stage.td(TD.NUM_TDCX),
    ]).toEqual([0, NDA, 6]);
  });
});

/** Two TDs, the first of them blocked. */
function blocked(subBlocks: number): Stage {
  const stage = new Stage(1, subBlocks);
  stage.ok('TDH.MNG.CREATE', { rcx: hpa(TDR), rdx: HKID });
  stage.ok('TDH.MNG.CREATE', { rcx: hpa(OTHER_TDR), rdx: HKID + 1 });
  stage.ok('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) });
  return stage;
}

describe('TDH.PHYMEM.CACHE.WB', () => {
  const START = 0;
  const RESUME = 1;

  it('goes on where an interrupt stopped it, for the HKIDs that were flushed when it started', () => {
    const stage = blocked(4);
    const { m, keys } = stage.tdx;
    const bitmaps = (): number[] => [HKID, HKID + 1].map((hkid) => m.peek(keys.wbinvdBitmap(hkid)));
    expect(stage.status('TDH.PHYMEM.CACHE.WB', { rcx: START, interruptAfter: 2 })).toBe(
      'TDX_INTERRUPTED_RESUMABLE',
    );
    expect([m.peek(keys.intrPoint(0)), m.peek(keys.lock), m.peek(keys.wbtLock(0))]).toEqual([
      2, 0, 0,
    ]);
    stage.ok('TDH.MNG.VPFLUSHDONE', { rcx: hpa(OTHER_TDR) });
    expect(stage.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME, interruptAfter: 1 })).toBe(
      'TDX_INTERRUPTED_RESUMABLE',
    );
    expect(m.peek(keys.intrPoint(0))).toBe(3);
    expect(bitmaps()).toEqual([1, 1]);
    expect(stage.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME, interruptAfter: 1 })).toBe(
      'TDX_SUCCESS',
    );
    expect(bitmaps(), 'the second TD was blocked after the start').toEqual([0, 1]);
    expect(stage.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME })).toBe('TDX_WBCACHE_RESUME_ERROR');
    expect(stage.status('TDH.MNG.KEY.FREEID', { rcx: hpa(TDR) })).toBe('TDX_SUCCESS');
    expect(stage.status('TDH.MNG.KEY.FREEID', { rcx: hpa(OTHER_TDR) })).toBe(
      'TDX_WBCACHE_NOT_COMPLETE',
    );
  });

  it('that starts with nothing to do forgets an interrupted session all the same', () => {
    const stage = blocked(2);
    stage.call('TDH.PHYMEM.CACHE.WB', { rcx: START, interruptAfter: 1 });
    stage.tdx.m.poke(stage.tdx.keys.state(HKID), HKID_FREE);
    expect(stage.status('TDH.PHYMEM.CACHE.WB', { rcx: START })).toBe(
      'TDX_NO_HKID_READY_TO_WBCACHE',
    );
    expect(stage.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME })).toBe('TDX_WBCACHE_RESUME_ERROR');
  });
});

/**
 * The guest of vCPU 0 faults `times` times, each time after another TDH.VP.ENTER, at one and the
 * same instruction.
 */
function fault(stage: Stage, times: number): void {
  for (let i = 0; i < times; i++) {
    expect(stage.enter(0)).toBe('TDX_SUCCESS');
    expect(stage.call('HW.GUEST.ACCESS', { rcx: 0x1000, vcpu: VCPUS[0] }).exitReason).toBe(48);
  }
}

describe('zero-step mitigation', () => {
  it('answers the eighth entry with the EPT violation that a listed page still causes', () => {
    const stage = built();
    fault(stage, 7);
    const call = stage.call('TDH.VP.ENTER', { rcx: hpa(VCPUS[0]) });
    expect([call.exitReason, call.rcx, call.rdx, call.r8]).toEqual([48, 2, 0, 0x1000]);
    expect([stage.vcpu(0, VP.STATE), stage.counts().odd]).toEqual([VCPU_READY, 0]);
    stage.flush(0);
    expect(stage.enter(0), 'a flush changes nothing').toBe('VMEXIT_EPT_VIOLATION');
  });

  it('lets the vCPU in again once no listed page faults, and forgets them when the guest gets on', () => {
    const stage = built();
    fault(stage, 7);
    for (const [i, level] of [3, 2, 1].entries()) {
      stage.ok('TDH.MEM.SEPT.ADD', { rcx: level, rdx: hpa(TDR), r8: hpa(FREE_PAGE + i) });
    }
    stage.ok('TDH.MEM.PAGE.AUG', { rcx: 0x1000, rdx: hpa(TDR), r8: hpa(FREE_PAGE + 4) });
    expect(stage.enter(0), 'pending is not enough').toBe('VMEXIT_EPT_VIOLATION');
    expect(stage.enter(1)).toBe('TDX_SUCCESS');
    stage.call('TDG.MEM.PAGE.ACCEPT', { rcx: 0x1000, vcpu: VCPUS[1] });
    expect(stage.enter(0)).toBe('TDX_SUCCESS');
    stage.call('HW.GUEST.ACCESS', { rcx: 0x1000, vcpu: VCPUS[0] });
    expect(stage.call('HW.GUEST.ACCESS', { rcx: 0x2000, vcpu: VCPUS[0] }).exitReason).toBe(48);
    expect([stage.vcpu(0, VP.LISTED), stage.vcpu(0, VP.VIOLATIONS)]).toEqual([0, 1]);
  });
});
