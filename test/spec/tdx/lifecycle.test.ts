/**
 * The life cycle of a TD, its vCPUs and its key. Source: docs/module-notes.md#life-cycle,
 * docs/module-notes.md#key-ownership.
 */
import { describe, expect, test } from 'vitest';
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
import { FREE_PAGE, HKID, hpa, Testbed, TD_PARAMS, TDR, VCPUS } from './testbed.ts';

function built(): Testbed {
  const bed = new Testbed();
  bed.build();
  return bed;
}

/** Blocks the TD, writes caches back, frees its key; then only RECLAIM remains. */
function tearDown(bed: Testbed): string[] {
  return [
    bed.flush(0),
    bed.flush(1),
    bed.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) }),
    bed.status('TDH.PHYMEM.CACHE.WB'),
    bed.status('TDH.MNG.KEY.FREEID', { rcx: hpa(TDR) }),
  ];
}

describe('a TD', () => {
  test('a TD goes from a free page to RUNNABLE through every stage in order', () => {
    const bed = new Testbed(2);
    const { m, keys } = bed.tdx;
    bed.ok('TDH.MNG.CREATE', { rcx: hpa(TDR), rdx: HKID });
    expect([bed.td(TD.LIFECYCLE), m.peek(keys.state(HKID))]).toEqual([
      HKID_ASSIGNED,
      HKID_KOT_ASSIGNED,
    ]);
    bed.ok('TDH.MNG.KEY.CONFIG', { rcx: hpa(TDR), lp: 0 });
    expect(bed.td(TD.LIFECYCLE), 'one package of two has the key').toBe(HKID_ASSIGNED);
    expect(bed.status('TDH.MNG.KEY.CONFIG', { rcx: hpa(TDR), lp: 2 })).toBe('TDX_KEY_CONFIGURED');
    bed.ok('TDH.MNG.KEY.CONFIG', { rcx: hpa(TDR), lp: 1 });
    expect(bed.td(TD.LIFECYCLE)).toBe(KEYS_CONFIGURED);
    const init = (): string =>
      bed.status('TDH.MNG.INIT', { rcx: hpa(TDR), rdx: 0, tdParams: TD_PARAMS });
    expect(init()).toBe('TDX_TDCS_NOT_ALLOCATED');
    for (let i = 1; i <= 6; i++) bed.ok('TDH.MNG.ADDCX', { rcx: hpa(TDR + i), rdx: hpa(TDR) });
    expect([bed.td(TD.OP_STATE), bed.td(TD.CHLDCNT), bed.td(TD.SEPT_ROOT)]).toEqual([
      UNINITIALIZED,
      6,
      TDR + 4,
    ]);
    expect([init(), bed.td(TD.OP_STATE), bed.td(TD.TD_EPOCH)]).toEqual([
      'TDX_SUCCESS',
      INITIALIZED,
      1,
    ]);
    bed.createVcpu(VCPUS[0]);
    expect(bed.status('TDH.MR.FINALIZE', { rcx: hpa(TDR) })).toBe('TDX_NO_VCPUS');
    bed.ok('TDH.VP.INIT', { rcx: hpa(VCPUS[0]), lp: 5 });
    expect([bed.vcpu(0, VP.STATE), bed.lpOf(0), bed.td(TD.NUM_VCPUS)]).toEqual([VCPU_READY, 5, 1]);
    bed.ok('TDH.MR.FINALIZE', { rcx: hpa(TDR) });
    expect([bed.td(TD.OP_STATE), bed.td(TD.CHLDCNT)]).toEqual([RUNNABLE, 12]);
  });

  test('RECLAIM takes the pages of a torn down TD in any order, the TDR last', () => {
    const bed = built();
    expect(bed.reclaim(VCPUS[0], 1)).toEqual(['TDX_LIFECYCLE_STATE_INCORRECT']);
    expect(tearDown(bed)).toEqual(Array.from({ length: 5 }, () => 'TDX_SUCCESS'));
    expect(bed.td(TD.LIFECYCLE)).toBe(TEARDOWN);
    expect(bed.tdx.m.peek(bed.tdx.keys.state(HKID))).toBe(HKID_FREE);
    expect(bed.reclaim(TDR, 1)).toEqual(['TDX_TD_ASSOCIATED_PAGES_EXIST']);
    expect(bed.reclaim(VCPUS[1], 6)).toEqual(['TDX_SUCCESS']);
    expect(bed.reclaim(TDR + 1, 6)).toEqual(['TDX_SUCCESS']);
    expect(bed.reclaim(VCPUS[0], 6)).toEqual(['TDX_SUCCESS']);
    expect(bed.reclaim(TDR, 1)).toEqual(['TDX_SUCCESS']);
    expect(bed.tdx.pamt.type(TDR, 0)).toBe(NDA);
  });

  test('a fatal TD is refused every call except those of its teardown', () => {
    const bed = built();
    bed.setTd(TD.FATAL, 1);
    expect(bed.enter(0)).toBe('TDX_TD_FATAL');
    expect(bed.status('TDH.MNG.RD', { rcx: hpa(TDR), field: 0x8010_0000_0000_0001n })).toBe(
      'TDX_TD_FATAL',
    );
    expect(bed.status('TDH.MNG.ADDCX', { rcx: hpa(FREE_PAGE), rdx: hpa(TDR) })).toBe(
      'TDX_TD_FATAL',
    );
    expect(tearDown(bed)).toEqual(Array.from({ length: 5 }, () => 'TDX_SUCCESS'));
    expect(bed.reclaim(VCPUS[0], 6)).toEqual(['TDX_SUCCESS']);
  });

  test('a TD whose key was never configured can be blocked', () => {
    const bed = new Testbed();
    bed.ok('TDH.MNG.CREATE', { rcx: hpa(TDR), rdx: HKID });
    bed.ok('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) });
    expect([bed.td(TD.LIFECYCLE), bed.tdx.m.peek(bed.tdx.keys.state(HKID))]).toEqual([
      TD_BLOCKED,
      HKID_FLUSHED,
    ]);
    expect(bed.status('TDH.MNG.KEY.FREEID', { rcx: hpa(TDR) })).toBe('TDX_WBCACHE_NOT_COMPLETE');
  });
});

describe('a vCPU in the guest', () => {
  test('a vCPU in the guest keeps its TDVPR and TDR shared until the TD exit', () => {
    const bed = built();
    expect(bed.enter(0)).toBe('TDX_SUCCESS');
    expect([bed.vcpu(0, VP.STATE), bed.counts()]).toEqual([
      VCPU_ACTIVE,
      { even: 0, odd: 1, associated: 2 },
    ]);
    expect(bed.flush(0)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(bed.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) })).toBe('TDX_OPERAND_BUSY|RCX');
    expect(bed.enter(0)).toBe('TDX_VCPU_STATE_INCORRECT');
    bed.exit(0);
    expect([bed.vcpu(0, VP.STATE), bed.counts().odd]).toEqual([VCPU_READY, 0]);
    expect(bed.flush(0)).toBe('TDX_SUCCESS');
  });

  test('a TD exit decrements the REFCOUNT of the epoch in which the vCPU entered', () => {
    const bed = built();
    bed.enter(0);
    bed.ok('TDH.MEM.TRACK', { rcx: hpa(TDR) });
    bed.enter(1);
    expect(bed.counts()).toMatchObject({ odd: 1, even: 1 });
    expect(bed.status('TDH.MEM.TRACK', { rcx: hpa(TDR) })).toBe('TDX_PREVIOUS_TLB_EPOCH_BUSY');
    bed.exit(0);
    expect(bed.counts()).toMatchObject({ odd: 0, even: 1 });
    expect(bed.status('TDH.MEM.TRACK', { rcx: hpa(TDR) })).toBe('TDX_SUCCESS');
  });
});

/** Holds a lock of the TD exclusively while `action` runs. */
function whileLocked(bed: Testbed, lock: number, action: () => void): void {
  const cell = bed.tdx.memory.word(TDR, lock);
  expect(atomically(bed.tdx.locks.try(cell, 'sharex', EXCLUSIVE))).toBe(true);
  action();
  atomically(bed.tdx.locks.release(cell, 'sharex', EXCLUSIVE));
}

describe('a refused call', () => {
  test('VP.ENTER that is refused for TD_EPOCH leaves the vCPU associated until VP.FLUSH', () => {
    const bed = built();
    bed.flush(0);
    whileLocked(bed, TD.EPOCH_LOCK, () =>
      expect(bed.enter(0, 3)).toBe('TDX_OPERAND_BUSY|TD_EPOCH'),
    );
    expect([bed.lpOf(0), bed.counts()]).toEqual([3, { even: 0, odd: 0, associated: 2 }]);
    expect(bed.enter(0, 4)).toBe('TDX_VCPU_ASSOCIATED');
    bed.flush(1);
    expect(bed.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) })).toBe('TDX_FLUSHVP_NOT_DONE');
    expect(bed.flush(0, 3)).toBe('TDX_SUCCESS');
    expect(bed.status('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) })).toBe('TDX_SUCCESS');
  });

  test('VP.ENTER that is refused for SEPT_TREE updates VCPU_EPOCH and not REFCOUNT', () => {
    const bed = built();
    fault(bed, 7);
    bed.ok('TDH.MEM.TRACK', { rcx: hpa(TDR) });
    whileLocked(bed, TD.SEPT_LOCK, () => expect(bed.enter(0)).toBe('TDX_OPERAND_BUSY|SEPT_TREE'));
    expect([bed.vcpu(0, VP.VCPU_EPOCH), bed.counts()]).toEqual([
      2,
      { even: 0, odd: 0, associated: 2 },
    ]);
  });

  test('a host call that is refused a PAMT lock sets its host-priority flag', () => {
    const bed = built();
    const lock = bed.tdx.pamt.lock(VCPUS[0], 0);
    bed.enter(0);
    expect(bed.flush(0)).toBe('TDX_OPERAND_BUSY|RCX');
    expect(bed.tdx.m.peek(lock) & 2).toBe(2);
    bed.exit(0);
    expect(bed.tdx.m.peek(lock)).toBe(2);
    bed.ok('TDH.PHYMEM.PAGE.RDMD', { rcx: hpa(VCPUS[0]) });
    expect(bed.tdx.m.peek(lock)).toBe(0);
  });

  test('VP.INIT that is refused for IA32_TSC_ADJUST leaves NUM_VCPUS incremented', () => {
    const bed = new Testbed();
    bed.create();
    bed.ok('TDH.MNG.INIT', { rcx: hpa(TDR), rdx: 0, tdParams: { ...TD_PARAMS, maxVcpus: 1 } });
    bed.createVcpu(VCPUS[0]);
    const refused = bed.status('TDH.VP.INIT', {
      rcx: hpa(VCPUS[0]),
      inject: 'tscAdjustMsrChanged',
    });
    expect([refused, bed.td(TD.NUM_VCPUS)]).toEqual(['TDX_INCONSISTENT_MSR|IA32_TSC_ADJUST', 1]);
    expect(bed.status('TDH.VP.INIT', { rcx: hpa(VCPUS[0]) })).toBe('TDX_MAX_VCPUS_EXCEEDED');
    expect(bed.td(TD.NUM_VCPUS), 'the refused call undoes its increment').toBe(1);
  });

  test('MNG.ADDCX that is refused for OP_STATE has overwritten the page, which stays free', () => {
    const bed = built();
    const { m, memory, pamt } = bed.tdx;
    m.poke(memory.word(FREE_PAGE, 7), 1234);
    expect(bed.status('TDH.MNG.ADDCX', { rcx: hpa(FREE_PAGE), rdx: hpa(TDR) })).toBe(
      'TDX_OP_STATE_INCORRECT',
    );
    expect([
      m.peek(memory.word(FREE_PAGE, 7)),
      pamt.type(FREE_PAGE, 0),
      bed.td(TD.NUM_TDCX),
    ]).toEqual([0, NDA, 6]);
  });
});

/** Lets the guest of vCPU 0 fault `times` times at one instruction, each after a VP.ENTER. */
function fault(bed: Testbed, times: number): void {
  for (let i = 0; i < times; i++) {
    expect(bed.enter(0)).toBe('TDX_SUCCESS');
    expect(bed.call('HW.GUEST.ACCESS', { rcx: 0x1000, vcpu: VCPUS[0] }).exitReason).toBe(48);
  }
}

describe('zero-step mitigation', () => {
  test('the eighth VP.ENTER returns the EPT violation that a listed page still causes', () => {
    const bed = built();
    fault(bed, 7);
    const call = bed.call('TDH.VP.ENTER', { rcx: hpa(VCPUS[0]) });
    expect([call.exitReason, call.rcx, call.rdx, call.r8]).toEqual([48, 2, 0, 0x1000]);
    expect([bed.vcpu(0, VP.STATE), bed.counts().odd]).toEqual([VCPU_READY, 0]);
    bed.flush(0);
    expect(bed.enter(0), 'VP.FLUSH does not reset the count').toBe('VMEXIT_EPT_VIOLATION');
  });

  test('VP.ENTER succeeds once no listed page faults, and progress empties the list', () => {
    const bed = built();
    fault(bed, 7);
    for (const [i, level] of [3, 2, 1].entries()) {
      bed.ok('TDH.MEM.SEPT.ADD', { rcx: level, rdx: hpa(TDR), r8: hpa(FREE_PAGE + i) });
    }
    bed.ok('TDH.MEM.PAGE.AUG', { rcx: 0x1000, rdx: hpa(TDR), r8: hpa(FREE_PAGE + 4) });
    expect(bed.enter(0), 'a pending page still faults').toBe('VMEXIT_EPT_VIOLATION');
    expect(bed.enter(1)).toBe('TDX_SUCCESS');
    bed.call('TDG.MEM.PAGE.ACCEPT', { rcx: 0x1000, vcpu: VCPUS[1] });
    expect(bed.enter(0)).toBe('TDX_SUCCESS');
    bed.call('HW.GUEST.ACCESS', { rcx: 0x1000, vcpu: VCPUS[0] });
    expect(bed.call('HW.GUEST.ACCESS', { rcx: 0x2000, vcpu: VCPUS[0] }).exitReason).toBe(48);
    expect([bed.vcpu(0, VP.LISTED), bed.vcpu(0, VP.VIOLATIONS)]).toEqual([0, 1]);
  });
});
