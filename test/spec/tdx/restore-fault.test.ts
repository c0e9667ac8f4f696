/** VP.ENTER whose restore of the guest's state faults. Source: docs/module-notes.md. */
import { describe, expect, test } from 'vitest';
import { describeStatus, toRax } from '../../../spec/tdx/status.ts';
import { TD, VP } from '../../../spec/tdx/td.ts';
import type { ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

const DEBUG = 1n;
const EXIT_GUEST_STATE = 33n;

/** What is left of a TD after a VP.ENTER of vCPU 0 whose restore faults. */
function faulted(module: ModuleVersion, attributes = 0n): Record<string, unknown> & { rig: TdRig } {
  const rig = new TdRig({ module, params: { attributes } });
  const tdvpr = rig.tdvpr(0);
  const enter = { rcx: rig.address(tdvpr), lp: 0, inject: 'guestStateFaults' } as const;
  const call = rig.call('TDH.VP.ENTER', enter);
  const td = (field: number): number => rig.m.peek(rig.memory.word(TDR, field));
  const vcpu = (field: number): number => rig.m.peek(rig.memory.word(tdvpr, field));
  return {
    rig,
    status: describeStatus(call.status),
    exit: [call.exitReason, call.rcx, call.rdx, call.r8],
    rax: (toRax(call.status) | EXIT_GUEST_STATE).toString(16),
    fatal: td(TD.FATAL),
    counted: td(TD.REFCOUNT_ODD),
    vcpu: [vcpu(VP.STATE), vcpu(VP.ASSOC_LPID), vcpu(VP.VCPU_EPOCH)],
    locks: [rig.tdx.pamt.lock(TDR, 0), rig.tdx.pamt.lock(tdvpr, 0)].map((lock) => rig.m.peek(lock)),
  };
}

const answer = (rig: TdRig, name: string): string => {
  const rcx = rig.address(name === 'TDH.MEM.TRACK' ? TDR : rig.tdvpr(0));
  return describeStatus(rig.call(name, { rcx, lp: 0 }).status);
};

const EXIT = { exit: [33, 0, 4, 0], locks: [0, 0] };

describe('VP.ENTER whose restore of the guest state faults', () => {
  test.each([0n, DEBUG])(
    'a restore that faults makes a TD of 1.5.05 fatal, ATTRIBUTES %d',
    (attributes) => {
      const { rig, ...seen } = faulted('1.5.05', attributes);

      expect(seen).toEqual({
        ...EXIT,
        status: 'TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE',
        rax: '6000000500000021',
        fatal: 1,
        counted: 1,
        vcpu: [2, 1, 1],
      });
      expect([answer(rig, 'TDH.MEM.TRACK'), answer(rig, 'TDH.VP.FLUSH')]).toEqual([
        'TDX_TD_FATAL',
        'TDX_SUCCESS',
      ]);
    },
  );

  test('a restore that faults is an ordinary exit of a debug TD of 1.5.01', () => {
    const { rig, ...seen } = faulted('1.5.01', DEBUG);

    expect(seen).toEqual({
      ...EXIT,
      status: 'TDX_SUCCESS',
      rax: '21',
      fatal: 0,
      counted: 0,
      vcpu: [2, 1, 1],
    });
    expect([answer(rig, 'TDH.MEM.TRACK'), answer(rig, 'TDH.VP.ENTER')]).toEqual([
      'TDX_SUCCESS',
      'TDX_SUCCESS',
    ]);
  });

  test('a restore that faults makes a production TD of 1.5.01 fatal, with its vCPU ACTIVE', () => {
    const { rig: _, ...seen } = faulted('1.5.01');

    expect(seen).toEqual({
      ...EXIT,
      status: 'TDX_NON_RECOVERABLE_TD',
      rax: '6000000200000021',
      fatal: 1,
      counted: 0,
      vcpu: [4, 1, 1],
    });
  });

  test('a restore that faults halts module 1.0.03, which handles no such exception', () => {
    expect(faulted('1.0.03')['status']).toBe('MODULE_HALT');
  });
});
