/**
 * The progress counter of ACCEPT in a PENDING leaf, and the page operand of RELOCATE: what the real
 * module compares, reports and clears. Measured on modules 1.5.01 and 1.5.05.
 */
import { expect, test } from 'vitest';
import type { Call } from '../../../spec/tdx/call.ts';
import {
  entry,
  pageOf,
  PENDING,
  PENDING_BLOCKED,
  stateOf,
  withoutLocks,
  type Entry,
} from '../../../spec/tdx/entry.ts';
import { Pamt, REG } from '../../../spec/tdx/pamt.ts';
import { tableAt } from '../../../spec/tdx/rules/tree.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { TDR, TdRig } from '../../support/td-rig.ts';

const MODULE = '1.5';
/** Page that every size is aligned to, and the progress of an ACCEPT that was interrupted once. */
const PAGE = 40;
const DONE = 1;

const cell = (rig: TdRig, level: number): number =>
  rig.memory.word(tableAt(rig.tdx, TDR, 0, level), rig.tdx.geometry.index(0, level));

/** A TD whose entry for GFN 0 at `level` is a page that the guest has accepted in part. */
function halfAccepted(level: number): TdRig {
  const rig = new TdRig({ module: MODULE });
  rig.addTables(0);
  rig.m.poke(cell(rig, level), entry(PENDING, PAGE + DONE));
  return rig;
}

const called = (rig: TdRig, name: string, level: number, r8 = 0): Call =>
  rig.call(name, { ...rig.mapping(0, level), r8 });
const reported = ({ rcxEntry }: Call): Entry => withoutLocks(rcxEntry ?? -1);

test('PAGE.REMOVE reports an unblocked 2M page without the progress of ACCEPT', () => {
  const rig = halfAccepted(1);
  rig.m.poke(rig.tdx.pamt.meta(PAGE, 1), Pamt.pack(REG, TDR));

  const call = called(rig, 'TDH.MEM.PAGE.REMOVE', 1);

  expect(describeStatus(call.status)).toBe('TDX_GPA_RANGE_NOT_BLOCKED|RCX');
  expect(reported(call)).toBe(entry(PENDING, PAGE));
});

test('SEPT.ADD reports such a page with the progress of ACCEPT', () => {
  const call = called(halfAccepted(1), 'TDH.MEM.SEPT.ADD', 1, (2 ** 40 + 1) * 4096);

  expect(describeStatus(call.status)).toBe('TDX_EPT_ENTRY_STATE_INCORRECT|RCX');
  expect(reported(call)).toBe(entry(PENDING, PAGE + DONE));
});

test.each([
  [1, PAGE],
  [2, PAGE + DONE],
])('RANGE.BLOCK clears the progress of a 2M page only (level %i)', (level, page) => {
  const rig = halfAccepted(level);

  expect(describeStatus(called(rig, 'TDH.MEM.RANGE.BLOCK', level).status)).toBe('TDX_SUCCESS');

  const after = rig.m.peek(cell(rig, level));
  expect([stateOf(after), pageOf(after)]).toEqual([PENDING_BLOCKED, page]);
});

test('RELOCATE refuses the page that it would move, whatever the bits from 52 up', () => {
  const rig = new TdRig({ module: MODULE });
  rig.addTables(0);
  const own = rig.address(rig.pageOf(0));
  rig.must('TDH.MEM.PAGE.AUG', { ...rig.mapping(0, 0), r8: own });

  const answers = [own, own + 2 ** 52, own + 2 ** 46].map((r8) =>
    describeStatus(called(rig, 'TDH.MEM.PAGE.RELOCATE', 0, r8).status),
  );

  // an HKID makes it another page, which is refused after the entry is found unblocked
  expect(answers).toEqual([
    'TDX_OPERAND_INVALID|R8',
    'TDX_OPERAND_INVALID|R8',
    'TDX_GPA_RANGE_NOT_BLOCKED|RCX',
  ]);
});
