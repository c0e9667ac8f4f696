/** Entry locks between host and guest. Source: docs/module-notes.md#entry-locks. */
import { describe, expect, test } from 'vitest';
import {
  atomically,
  cellOf,
  kindOf,
  READ,
  RELEASE,
  WRITE,
  type Steps,
} from '../../../spec/machine/step.ts';
import type { Call } from '../../../spec/tdx/call.ts';
import { ENTRY_LOCK, HOST_PRIORITY, stateName, stateOf } from '../../../spec/tdx/entry.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import { runUntil } from './schedules.ts';

/** A running TD with both vCPUs inside and a pending page at GFN 0. */
function newRig() {
  const rig = new TdRig({ module: '1.5' });
  rig.addTables(0);
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: rig.address(rig.pageOf(0)) });
  for (const vcpu of [0, 1])
    rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(vcpu)), lp: vcpu });
  const entry = rig.memory.word(tableAt(rig.tdx, TDR, 0, 0), 0);
  const accepting = (vcpu: number): Steps<Call> =>
    rig.invoke('TDG.MEM.PAGE.ACCEPT', { rcx: 0, vcpu: rig.tdvpr(vcpu), interruptAfter: -1 });
  /** An ACCEPT of vCPU 0 that holds the entry lock and announces a step of `kind` on the entry. */
  const acceptingUntil = (kind: number): Steps<Call> => {
    const accept = accepting(0);
    runUntil(
      accept,
      (announced) =>
        (rig.m.peek(entry) & ENTRY_LOCK) !== 0 &&
        kindOf(announced) === kind &&
        cellOf(announced) === entry,
    );
    return accept;
  };
  return {
    rig,
    acceptingUntil,
    accept: (vcpu: number): string => describeStatus(atomically(accepting(vcpu)).status),
    host: (name: string): string => describeStatus(rig.call(name, rig.mapping(0, 0)).status),
    /** The entry's state, lock bit and host-priority bit. */
    now: (): [string, boolean, boolean] => {
      const e = rig.m.peek(entry);
      return [stateName(stateOf(e)), (e & ENTRY_LOCK) !== 0, (e & HOST_PRIORITY) !== 0];
    },
  };
}

const HOST_CALLS = [
  'TDH.MEM.SEPT.RD',
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.RANGE.BLOCK',
  'TDH.MEM.RANGE.UNBLOCK',
];

describe('a host call that meets an ACCEPT', () => {
  test.for(HOST_CALLS)(
    '%s that meets an ACCEPT is refused, sets the priority bit, and releases its locks',
    (name) => {
      const { rig, acceptingUntil, host, now } = newRig();
      acceptingUntil(READ);
      expect(host(name)).toBe('TDX_OPERAND_BUSY|RCX');
      expect(now()).toEqual(['PENDING', true, true]);
      expect(rig.m.peek(rig.memory.word(TDR, TD.SEPT_LOCK)), 'the tree is free').toBe(0);
    },
  );

  test('a request before ACCEPT rereads the entry survives, and refuses the next guest', () => {
    const { acceptingUntil, host, accept, now } = newRig();
    const first = acceptingUntil(READ);
    host('TDH.MEM.SEPT.RD');
    expect(accept(1), 'the lock is held').toBe('TDX_OPERAND_BUSY|RCX');
    expect(describeStatus(atomically(first).status)).toBe('TDX_SUCCESS');
    expect(now(), 'ACCEPT writes the bit that it read').toEqual(['MAPPED', false, true]);
    expect(accept(1)).toBe('TDX_OPERAND_BUSY_HOST_PRIORITY|RCX');
    expect(host('TDH.MEM.SEPT.RD'), 'the host call succeeds').toBe('TDX_SUCCESS');
    expect(now()).toEqual(['MAPPED', false, false]);
    expect(accept(1)).toBe('TDX_PAGE_ALREADY_ACCEPTED|level 0');
  });

  test('a request after ACCEPT has reread the entry is lost with the whole-entry write', () => {
    const { acceptingUntil, host, accept, now } = newRig();
    const first = acceptingUntil(WRITE);
    host('TDH.MEM.SEPT.RD');
    expect(now()).toEqual(['PENDING', true, true]);
    atomically(first);
    expect(now()).toEqual(['MAPPED', false, false]);
    expect(accept(1)).toBe('TDX_PAGE_ALREADY_ACCEPTED|level 0');
  });

  test('a request after ACCEPT has written the entry survives', () => {
    const { acceptingUntil, host, accept, now } = newRig();
    const first = acceptingUntil(RELEASE);
    expect(host('TDH.MEM.RANGE.BLOCK')).toBe('TDX_OPERAND_BUSY|RCX');
    atomically(first);
    expect([now(), accept(1)]).toEqual([
      ['MAPPED', false, true],
      'TDX_OPERAND_BUSY_HOST_PRIORITY|RCX',
    ]);
    expect(host('TDH.MEM.RANGE.BLOCK')).toBe('TDX_SUCCESS');
    expect(now()).toEqual(['BLOCKED', false, false]);
  });

  test('a request waits for at most one guest, the one that holds the lock', () => {
    const { acceptingUntil, host, accept } = newRig();
    const first = acceptingUntil(READ);
    host('TDH.MEM.SEPT.RD');
    atomically(first);
    const answers = new Set(Array.from({ length: 5 }, () => accept(1)));
    expect([...answers]).toEqual(['TDX_OPERAND_BUSY_HOST_PRIORITY|RCX']);
    expect(host('TDH.MEM.SEPT.RD')).toBe('TDX_SUCCESS');
  });
});

test('two guests exclude each other, and set no priority bit', () => {
  const { acceptingUntil, accept, now } = newRig();
  const first = acceptingUntil(WRITE);
  expect([accept(1), now()]).toEqual(['TDX_OPERAND_BUSY|RCX', ['PENDING', true, false]]);
  expect(describeStatus(atomically(first).status)).toBe('TDX_SUCCESS');
});
