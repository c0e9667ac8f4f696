/** The lock words, bit by bit. Source: docs/module-notes.md#locks. */
import { describe, expect, test } from 'vitest';
import { Machine } from '../../../spec/machine/machine.ts';
import { atomically } from '../../../spec/machine/step.ts';
import { EXCLUSIVE, Locks, SHARED, type LockKind, type Mode } from '../../../spec/tdx/locks.ts';

/** A lock whose word starts as `word`, and what its listeners heard. */
function lock(kind: LockKind, word = 0, hostPriority = true) {
  const m = new Machine();
  const locks = new Locks(m, hostPriority);
  const cell = m.segment('lock', 1);
  m.poke(cell, word);
  const heard: string[] = [];
  locks.listeners.push({
    taken: (_cell, mode) => heard.push(`taken ${mode}`),
    refused: (_cell, mode) => heard.push(`refused ${mode}`),
    released: (_cell, mode) => heard.push(`released ${mode}`),
  });
  return {
    heard,
    word: () => m.peek(cell),
    attempt: (mode: Mode) => atomically(locks.try(cell, kind, mode)),
    release: (mode: Mode) => atomically(locks.release(cell, kind, mode)),
    promote: () => atomically(locks.promote(cell)),
  };
}

type Row = readonly [LockKind, Mode, number, boolean, number];

/** Kind, mode, word before, whether the lock is taken, word after. */
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
  const result = taken ? 'taken' : 'refused';
  const attempt = `a ${modeName(mode)} attempt at a ${kind}`;
  test(`${attempt} of word ${before} is ${result} and leaves ${after}`, () => {
    const tried = lock(kind, before);
    expect([tried.attempt(mode), tried.word()]).toEqual([taken, after]);
    expect(tried.heard).toEqual([`${taken ? 'taken' : 'refused'} ${mode}`]);
  });
});

describe('release', () => {
  test.for([
    ['sharex', SHARED, 4, 2],
    ['sharexHp', SHARED, 8, 4],
    ['sharexHp', SHARED, 6, 2],
    // the exclusive holder's release resets the count that refused readers have raised
    ['sharex', EXCLUSIVE, 3, 0],
    ['sharexHp', EXCLUSIVE, 7, 2],
    ['sharexHp', EXCLUSIVE, 1, 0],
    ['mutex', EXCLUSIVE, 1, 0],
  ] as const)(
    'the release of a %s, mode %i, changes word %i to %i',
    ([kind, mode, before, after]) => {
      const tried = lock(kind, before);
      tried.release(mode);
      expect(tried.word()).toBe(after);
      expect(tried.heard).toEqual([`released ${mode}`]);
    },
  );

  test('a refused reader does not keep a writer out once the holder has released', () => {
    const tried = lock('sharex');
    expect([tried.attempt(EXCLUSIVE), tried.attempt(SHARED)]).toEqual([true, false]);
    tried.release(EXCLUSIVE);
    expect(tried.attempt(EXCLUSIVE)).toBe(true);
  });
});

describe('promotion of a shared hold', () => {
  test.for([
    [4, true, 1],
    [6, true, 1],
    [8, false, 10],
    [10, false, 10],
  ] as const)('a promotion on word %i succeeds: %s, and leaves %i', ([before, taken, after]) => {
    const tried = lock('sharexHp', before);
    expect([tried.promote(), tried.word()]).toEqual([taken, after]);
    expect(tried.heard).toEqual(taken ? ['released 1', 'taken 2'] : ['refused 2']);
  });
});
