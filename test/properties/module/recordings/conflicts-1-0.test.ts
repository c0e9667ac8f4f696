/**
 * The judge of pair recordings of module 1.0.03: the kinds of cells that only this module has, and
 * lock tables. It reports every alteration.
 */
import { describe, expect, test } from 'vitest';
import { ConflictsJudge } from '../../../../properties/module/recordings/conflicts/conflicts.ts';
import { parseCell } from '../../../../properties/module/recordings/conflicts/format.ts';
import { exchange, exchanges, lifecycleLocks, locks, read, reads } from './cells-1-0.ts';
import type { Fields } from './cells.ts';

const judge = new ConflictsJudge('1.0.03');
const judged = (fields: Fields) => judge.judge([parseCell('own', fields)], 20);
const found = (fields: Fields): string[] =>
  judged(fields).differences.map(({ field, recorded, ours }) => `${field}: ${recorded} / ${ours}`);
/** A field that holds a list of objects, with some fields of its object `i` changed. */
const withItem = (fields: Fields, field: string, i: number, change: Fields): Fields => {
  const list = fields[field] as Fields[]; // the caller names one
  return { ...fields, [field]: list.map((item, at) => (at === i ? { ...item, ...change } : item)) };
};

describe('an altered cell of module 1.0.03', () => {
  test.each([
    ['exchange', exchange, {}],
    ['exchanges', exchanges, {}],
    ['read', read, { 'the position of a load': 1 }],
    ['reads', reads, { 'the number of loads, and of those with a change': 1 }],
    ['locks', locks, {}],
    ['locks of the life cycle', lifecycleLocks, {}],
  ])(
    'the judge reports nothing for an unaltered cell, and what it leaves out: %s',
    (_kind, make, notCompared) => {
      expect(judged(make())).toEqual({ cells: 1, differing: 0, notCompared, differences: [] });
    },
  );

  const ALTERATIONS: [string, Fields, string[]][] = [
    [
      'the number of the exchange',
      { ...exchange(), xEvent: { ...(exchange()['xEvent'] as Fields), number: 2 } },
      [
        'xEvent.what: SEPT_ENTRY[page=0x100202000,idx=0] / absent',
        'xEvent.value: 0x80000001002038f0 / absent',
      ],
    ],
    [
      'the entry before the exchange',
      {
        ...exchange(),
        xEvent: { ...(exchange()['xEvent'] as Fields), value: '0x80000001002030f7' },
      },
      ['xEvent.value: 0x80000001002030f7 / 0x80000001002038f0'],
    ],
    [
      'which call the exchange is refused to',
      { ...exchange(), yStatus: 'TDX_OPERAND_BUSY|RCX', xStatusAfterResume: 'TDX_SUCCESS' },
      [
        'yStatus: TDX_OPERAND_BUSY|RCX / TDX_SUCCESS',
        'xStatusAfterResume: TDX_SUCCESS / TDX_OPERAND_BUSY|RCX',
      ],
    ],
    [
      'the entry after the exchange',
      { ...exchange(), entryAfter: '0x8000000100203af0' },
      ['entryAfter: 0x8000000100203af0 / 0x80000001002030f7'],
    ],
    [
      'the counts of exchanges',
      { ...exchanges(), events: 2, unchanged: 1, rowsKept: 0 },
      ['events: 2 / 1', 'unchanged: 1 / 0', 'rowsKept: 0 / 1'],
    ],
    [
      'an outcome that no point has',
      { ...read(), yStatus: 'TDX_VCPU_ASSOCIATED' },
      ['yStatus: TDX_VCPU_ASSOCIATED / TDX_SUCCESS', 'linearizable: false / true'],
    ],
    [
      'an outcome that no order explains',
      { ...reads(), nonAtomicRows: 3 },
      ['nonAtomicRows is 0: false / true'],
    ],
    [
      'a refused acquisition',
      withItem(locks(), 'busy', 0, {
        ifHeldExclusively: 'TDX_OPERAND_BUSY|RCX',
        failedLockExclusive: 'TD0.SEPT_TREE',
        ifHeldShared: 'TDX_OPERAND_BUSY|RDX',
      }),
      [
        'busy PAMT_4K[TDR0], exclusively: TDX_OPERAND_BUSY|RCX / TDX_OPERAND_BUSY|RDX',
        'busy PAMT_4K[TDR0], the lock that fails: TD0.SEPT_TREE / PAMT_4K[TDR0]',
        'busy PAMT_4K[TDR0], shared: TDX_OPERAND_BUSY|RDX / TDX_SUCCESS',
      ],
    ],
    [
      'a lock that the function does not take',
      withItem(locks(), 'busy', 0, { lock: 'TD0.TD_EPOCH' }),
      ['busy TD0.TD_EPOCH: TD0.TD_EPOCH / absent'],
    ],
    [
      'the mode of an acquisition',
      withItem(locks(), 'events', 3, { kind: 'SHARED', promotedFromShared: true }),
      [
        'events[3]: acquire TD0.SEPT_TREE SHARED, sharex / acquire TD0.SEPT_TREE EXCLUSIVE, sharex',
        'events[3].promotedFromShared: true / false',
      ],
    ],
    [
      'a release that is missing',
      { ...locks(), events: (locks()['events'] as Fields[]).slice(0, -1) },
      ['events.length: 7 / 8'],
    ],
    [
      'a lock that is still held',
      { ...locks(), stillHeldOnReturn: [['TD0.SEPT_TREE', 'EXCLUSIVE']] },
      ['stillHeldOnReturn.length: 1 / 0', 'stillHeldOnReturn[0]: TD0.SEPT_TREE (EXCLUSIVE) /  ()'],
    ],
    [
      'a release by a write of the entry',
      { ...locks(), releasedByEntryWriteCount: 1 },
      ['releasedByEntryWriteCount: 1 / 0'],
    ],
    [
      'a write',
      withItem(lifecycleLocks(), 'writes', 3, { new: '0x0005000000000004' }),
      ['writes[3].new: 0x5000000000004 / 0x5000000000104'],
    ],
    [
      'a write that is missing',
      { ...lifecycleLocks(), writes: (lifecycleLocks()['writes'] as Fields[]).slice(0, -1) },
      ['writes.length: 3 / 4'],
    ],
    [
      'an unknown case',
      { ...lifecycleLocks(), tdStage: 'BORN' },
      ['set-up: built / there is no set-up for the stage BORN'],
    ],
  ];
  test.each(ALTERATIONS)(
    'the judge reports exactly the altered field: %s',
    (_what, fields, expected) => {
      expect(found(fields)).toEqual(expected);
    },
  );
});
