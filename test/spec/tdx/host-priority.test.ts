/** Entry locks between host and guest. Source: module notes §5; `conflicts.json`, experiments. */
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
function world() {
  const w = new TdRig({ module: '1.5' });
  w.addTables(0);
  w.must('TDH.MEM.PAGE.AUG', { ...w.mapping(0, 0), r8: w.address(w.pageOf(0)) });
  for (const vcpu of [0, 1]) w.must('TDH.VP.ENTER', { rcx: w.address(w.tdvpr(vcpu)), lp: vcpu });
  const entry = w.memory.word(tableAt(w.tdx, TDR, 0, 0), 0);
  const accepting = (vcpu: number): Steps<Call> =>
    w.invoke('TDG.MEM.PAGE.ACCEPT', { rcx: 0, vcpu: w.tdvpr(vcpu), interruptAfter: -1 });
  /**
   * An ACCEPT of vCPU 0 that has come to its next `kind` of step on the entry, with the lock in
   * hand.
   */
  const acceptingUntil = (kind: number): Steps<Call> => {
    const accept = accepting(0);
    runUntil(
      accept,
      (announced) =>
        (w.m.peek(entry) & ENTRY_LOCK) !== 0 &&
        kindOf(announced) === kind &&
        cellOf(announced) === entry,
    );
    return accept;
  };
  return {
    w,
    acceptingUntil,
    accept: (vcpu: number): string => describeStatus(atomically(accepting(vcpu)).status),
    host: (name: string): string => describeStatus(w.call(name, w.mapping(0, 0)).status),
    /** State, locked?, priority asked for? */
    now: (): [string, boolean, boolean] => {
      const e = w.m.peek(entry);
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
    '%s is refused, asks for priority, and holds no more than before',
    (name) => {
      const { w, acceptingUntil, host, now } = world();
      acceptingUntil(READ);
      expect(host(name)).toBe('TDX_OPERAND_BUSY|RCX');
      expect(now()).toEqual(['PENDING', true, true]);
      expect(w.m.peek(w.memory.word(TDR, TD.SEPT_LOCK)), 'the tree is free').toBe(0);
    },
  );

  test('before it has read the entry again: the request stays, and the next guest is refused for it', () => {
    const { acceptingUntil, host, accept, now } = world();
    const first = acceptingUntil(READ);
    host('TDH.MEM.SEPT.RD');
    expect(accept(1), 'the lock is held').toBe('TDX_OPERAND_BUSY|RCX');
    expect(describeStatus(atomically(first).status)).toBe('TDX_SUCCESS');
    expect(now(), 'the value that ACCEPT writes has the bit that it read').toEqual([
      'MAPPED',
      false,
      true,
    ]);
    expect(accept(1)).toBe('TDX_OPERAND_BUSY_HOST_PRIORITY|RCX');
    expect(host('TDH.MEM.SEPT.RD'), 'the host is let in').toBe('TDX_SUCCESS');
    expect(now()).toEqual(['MAPPED', false, false]);
    expect(accept(1)).toBe('TDX_PAGE_ALREADY_ACCEPTED|level 0');
  });

  test('after it has read the entry: the request is lost with the whole-entry write', () => {
    const { acceptingUntil, host, accept, now } = world();
    const first = acceptingUntil(WRITE);
    host('TDH.MEM.SEPT.RD');
    expect(now()).toEqual(['PENDING', true, true]);
    atomically(first);
    expect(now()).toEqual(['MAPPED', false, false]);
    expect(accept(1)).toBe('TDX_PAGE_ALREADY_ACCEPTED|level 0');
  });

  test('after it has written the entry: the request stays', () => {
    const { acceptingUntil, host, accept, now } = world();
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

  test('overtakes at most one guest: the one that holds the lock', () => {
    const { acceptingUntil, host, accept } = world();
    const first = acceptingUntil(READ);
    host('TDH.MEM.SEPT.RD');
    atomically(first);
    const answers = new Set(Array.from({ length: 5 }, () => accept(1)));
    expect([...answers]).toEqual(['TDX_OPERAND_BUSY_HOST_PRIORITY|RCX']);
    expect(host('TDH.MEM.SEPT.RD')).toBe('TDX_SUCCESS');
  });
});

test('two guests exclude each other, and ask for nothing', () => {
  const { acceptingUntil, accept, now } = world();
  const first = acceptingUntil(WRITE);
  expect([accept(1), now()]).toEqual(['TDX_OPERAND_BUSY|RCX', ['PENDING', true, false]]);
  expect(describeStatus(atomically(first).status)).toBe('TDX_SUCCESS');
});
