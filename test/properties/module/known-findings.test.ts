/** A cause belongs to a finding by what happened, not by its symptom alone. */
import { expect, test } from 'vitest';
import {
  LATE_EXIT,
  LATE_STAMP,
  LOST_PAGE,
  LOST_TABLE,
  LOST_WRITE,
  TORN_DOWN,
} from '../../../properties/module/hunt/facts.ts';
import { knownFinding } from '../../../properties/module/hunt/known-findings.ts';

const IN_THAT_STATE = 'no order ends in that state';
const RD = 'no order explains TDH.MEM.RD answering TDX_SUCCESS';

/** Symptom, a mark of the cause (fact, function or call), and the finding. */
const ROWS: readonly (readonly [string, string, string])[] = [
  ['TDH.MEM.PAGE.AUG is refused a lock that is not held', LOST_TABLE, 'F6'],
  [RD, LOST_TABLE, 'F6'],
  [IN_THAT_STATE, LATE_STAMP, 'F16'],
  [RD, LOST_PAGE, 'F18'],
  [IN_THAT_STATE, LOST_WRITE, 'F14'],
  ['no order explains TDH.MEM.TRACK answering TDX_PREVIOUS_TLB_EPOCH_BUSY', LATE_EXIT, 'F10'],
  ['no order explains TDH.MEM.PAGE.REMOVE answering TDX_TLB_TRACKING_NOT_DONE', LATE_EXIT, 'F10'],
  ['TDH.MEM.PAGE.REMOVE stops the platform', 'TDH.MEM.PAGE.AUG', 'F2'],
  ['no order explains TDH.PHYMEM.PAGE.RDMD answering TDX_SUCCESS', 'TDH.MEM.RANGE.BLOCK', 'F16'],
];

test.each(ROWS)(
  '"%s" with the mark "%s" is %s, and without it a new cause',
  (symptom, mark, id) => {
    const bare = { symptom, calls: [], functions: [], facts: [] };
    expect(knownFinding({ ...bare, functions: [mark], facts: [mark] })).toBe(id);
    expect(knownFinding(bare)).toBeNull();
  },
);

test('a call that ends in a TD that is torn down meanwhile is F13', () => {
  const anomaly = {
    symptom: 'TDH.MEM.RD stops the platform',
    calls: [],
    functions: ['TDH.MNG.VPFLUSHDONE'],
    facts: [],
  };
  expect(knownFinding(anomaly)).toBeNull();
  expect(knownFinding({ ...anomaly, facts: [TORN_DOWN] })).toBe('F13');
});

test('a PROMOTE that fails is F5 only if a call was refused the lock of an entry', () => {
  const failed = 'h0: TDH.MEM.PAGE.PROMOTE TDX_EPT_INVALID_PROMOTE_CONDITIONS|RCX';
  const anomaly = { symptom: IN_THAT_STATE, calls: [failed], functions: [], facts: [] };
  const refused = 'h1: TDH.MEM.PAGE.AUG TDX_OPERAND_BUSY|RCX';
  expect(knownFinding(anomaly)).toBeNull();
  expect(knownFinding({ ...anomaly, calls: [failed, refused] })).toBe('F5');
});
