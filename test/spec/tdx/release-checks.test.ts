/**
 * A release of a lock whose word does not show the hold halts the module. Source:
 * docs/module-notes.md#release-order.
 */
import { expect, test } from 'vitest';
import { Machine } from '../../../spec/machine/machine.ts';
import { atomically, cellOf, kindOf, RELEASE } from '../../../spec/machine/step.ts';
import { EXCLUSIVE, Locks, SHARED } from '../../../spec/tdx/locks.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TD } from '../../../spec/tdx/td.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';
import { runUntil } from './schedules.ts';

test.for([
  ['sharex', SHARED, 2, true],
  ['sharex', SHARED, 0, false],
  ['sharex', SHARED, 3, false],
  ['sharex', EXCLUSIVE, 1, true],
  ['sharex', EXCLUSIVE, 2, false],
  ['sharexHp', SHARED, 4, true],
  ['sharexHp', SHARED, 6, true],
  ['sharexHp', SHARED, 2, false],
  ['sharexHp', EXCLUSIVE, 3, true],
  ['sharexHp', EXCLUSIVE, 2, false],
  ['mutex', EXCLUSIVE, 1, true],
  ['mutex', EXCLUSIVE, 0, false],
] as const)('a %s lock in mode %i with word %i is held: %s', ([kind, mode, word, held]) => {
  const m = new Machine();
  const cell = m.segment('lock', 1);
  m.poke(cell, word);
  expect(new Locks(m, true).isHeld(cell, kind, mode)).toBe(held);
});

/** SEPT.RD of GFN 0, while the lock at `cell` is cleared just before its release. */
function readWithout(cellIn: (rig: TdRig) => number, clear: boolean): string {
  const rig = new TdRig({ module: '1.5' });
  rig.addTables(0);
  const cell = cellIn(rig);
  const read = rig.invoke('TDH.MEM.SEPT.RD', rig.mapping(0, 0));
  runUntil(read, (announced) => cellOf(announced) === cell && kindOf(announced) === RELEASE);
  if (clear) rig.m.poke(cell, 0);
  return describeStatus(atomically(read).status);
}

test.for([
  ['entry', (rig: TdRig): number => rig.memory.word(tableAt(rig.tdx, TDR, 0, 0), 0)],
  ['tree', (rig: TdRig): number => rig.memory.word(TDR, TD.SEPT_LOCK)],
  ['OP_STATE', (rig: TdRig): number => rig.memory.word(TDR, TD.OP_STATE_LOCK)],
] as const)('SEPT.RD halts if its lock of the %s is gone when it releases it', ([, cellIn]) => {
  expect(readWithout(cellIn, false)).toBe('TDX_SUCCESS');
  expect(readWithout(cellIn, true)).toBe('MODULE_HALT');
});
