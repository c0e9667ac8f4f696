/** The lock words, bit by bit. Source: module notes §5; `conflicts.json`, experiments. */
import { describe, expect, test } from 'vitest';
import { Machine } from '../../../spec/machine/machine.ts';
import { atomically } from '../../../spec/machine/step.ts';
import { EXCLUSIVE, Locks, SHARED, type LockKind, type Mode } from '../../../spec/tdx/locks.ts';

/** A lock whose word starts as `word`, and what it tells its listeners. */
function lock(kind: LockKind, word = 0) {
  const m = new Machine();
  const locks = new Locks(m);
  const cell = m.segment('lock', 1);
  m.poke(cell, word);
  const told: string[] = [];
  locks.listeners.push({
    taken: (_cell, mode) => told.push(`taken ${mode}`),
    refused: (_cell, mode) => told.push(`refused ${mode}`),
    released: (_cell, mode) => told.push(`released ${mode}`),
  });
  return {
    told,
    word: () => m.peek(cell),
    attempt: (mode: Mode) => atomically(locks.try(cell, kind, mode)),
    release: (mode: Mode) => atomically(locks.release(cell, kind, mode)),
    promote: () => atomically(locks.promote(cell)),
  };
}

type Row = readonly [LockKind, Mode, number, boolean, number];

/** Kind, mode, word before, taken?, word after. */
const ATTEMPTS: readonly Row[] = [
  // bit 0 exclusive, readers in steps of 2
  ['sharex', SHARED, 0, true, 2],
  ['sharex', SHARED, 4, true, 6],
  ['sharex', SHARED, 1, false, 3],
  ['sharex', EXCLUSIVE, 0, true, 1],
  ['sharex', EXCLUSIVE, 2, false, 2],
  ['sharex', EXCLUSIVE, 1, false, 1],
  // bit 1 host priority, readers in steps of 4
  ['sharexHp', SHARED, 0, true, 4],
  ['sharexHp', SHARED, 4, true, 8],
  ['sharexHp', SHARED, 2, true, 4],
  ['sharexHp', SHARED, 1, false, 7],
  ['sharexHp', EXCLUSIVE, 0, true, 1],
  ['sharexHp', EXCLUSIVE, 2, true, 1],
  ['sharexHp', EXCLUSIVE, 4, false, 6],
  ['sharexHp', EXCLUSIVE, 1, false, 3],
  ['mutex', EXCLUSIVE, 0, true, 1],
  ['mutex', EXCLUSIVE, 1, false, 1],
];

const modeName = (mode: Mode): string => (mode === SHARED ? 'shared' : 'exclusive');

describe.for(ATTEMPTS)('%s, mode %i, on word %i', ([kind, mode, before, taken, after]) => {
  test(`${modeName(mode)} is ${taken ? 'taken' : 'refused'} and leaves ${after}`, () => {
    const it = lock(kind, before);
    expect([it.attempt(mode), it.word()]).toEqual([taken, after]);
    expect(it.told).toEqual([`${taken ? 'taken' : 'refused'} ${mode}`]);
  });
});

describe('release', () => {
  test.for([
    ['sharex', SHARED, 4, 2],
    ['sharexHp', SHARED, 8, 4],
    ['sharexHp', SHARED, 6, 2],
    // the count that refused readers have raised goes with the exclusive holder
    ['sharex', EXCLUSIVE, 3, 0],
    ['sharexHp', EXCLUSIVE, 7, 2],
    ['sharexHp', EXCLUSIVE, 1, 0],
    ['mutex', EXCLUSIVE, 1, 0],
  ] as const)('of %s, mode %i, takes %i to %i', ([kind, mode, before, after]) => {
    const it = lock(kind, before);
    it.release(mode);
    expect(it.word()).toBe(after);
    expect(it.told).toEqual([`released ${mode}`]);
  });

  test('a reader that was refused does not keep a writer out, once the holder is gone', () => {
    const it = lock('sharex');
    expect([it.attempt(EXCLUSIVE), it.attempt(SHARED)]).toEqual([true, false]);
    it.release(EXCLUSIVE);
    expect(it.attempt(EXCLUSIVE)).toBe(true);
  });
});

describe('promotion of a shared hold', () => {
  test.for([
    [4, true, 1],
    [6, true, 1],
    [8, false, 10],
    [10, false, 10],
  ] as const)('of word %i: %s, and leaves %i', ([before, taken, after]) => {
    const it = lock('sharexHp', before);
    expect([it.promote(), it.word()]).toEqual([taken, after]);
    expect(it.told).toEqual(taken ? ['released 1', 'taken 2'] : ['refused 2']);
  });
});
