/** Spinlocks. */
import { describe, expect, test } from 'vitest';
import { BAD_UNLOCK, ENDED_HOLDING } from '../../../spec/machine/faults.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { SpinLock } from '../../../spec/machine/spinlock.ts';
import { atomically } from '../../../spec/machine/step.ts';
import { runActors, runAllSchedules, tally } from './support.ts';

function setUp() {
  const m = new Machine();
  const lock = new SpinLock(m, 'pages_lock');
  const word = m.segment('word', 1);
  m.seal();
  return { m, lock, word };
}

describe('a spinlock', () => {
  test('a spinlock protects an update that is lost without it', () => {
    const { m, lock, word } = setUp();
    const adds = (locked: boolean) =>
      function* () {
        if (locked) yield* lock.lock();
        yield* m.write(word, (yield* m.read(word)) + 1);
        if (locked) yield* lock.unlock();
      };
    const lost = (locked: boolean) => {
      let count = 0;
      const actors = { a: adds(locked), b: adds(locked), c: adds(locked) };
      const runs = runAllSchedules(m, actors, () => {
        if (m.peek(word) !== 3) count++;
      });
      return { runs, lost: count };
    };
    expect(lost(false)).toEqual({ runs: 90, lost: 84 });
    expect(lost(true).lost).toBe(0);
  });

  test('a spinlock has one holder at a time, under any choices', () => {
    const { m, lock, word } = setUp();
    const inside = function* () {
      yield* lock.lock();
      expect([0, 1, 2].filter((actor) => lock.holds(actor))).toEqual([m.current]);
      yield* m.read(word);
      yield* lock.unlock();
    };
    expect(tally(m, { a: inside, b: inside, c: inside })).toEqual({ finished: 200 });
  });

  test('an actor that takes a spinlock twice deadlocks with itself', () => {
    const { m, lock } = setUp();
    expect(
      runActors(m, {
        *a() {
          yield* lock.lock();
          yield* lock.lock();
        },
      }),
    ).toBe('deadlock');
    expect(m.violation?.seen).toBe('a waits for pages_lock, held by a');
  });

  test('an unlock of a free spinlock is a bad unlock', () => {
    const { m, lock } = setUp();
    runActors(m, {
      *a() {
        yield* lock.unlock();
      },
    });
    expect(m.violation).toMatchObject({
      rule: BAD_UNLOCK.id,
      expected: 'pages_lock released by the actor that holds it',
      seen: 'a releases it, and it is free',
    });
  });

  test('an unlock by an actor that is not the holder is a bad unlock', () => {
    const { m, lock, word } = setUp();
    runActors(m, {
      *a() {
        yield* lock.lock();
        yield* m.relax(word);
        yield* lock.unlock();
      },
      *b() {
        yield* lock.unlock();
      },
    });
    expect(m.violation).toMatchObject({
      rule: BAD_UNLOCK.id,
      actor: 1,
      expected: 'pages_lock released by the actor that holds it',
      seen: 'b releases it, and a holds it',
    });
  });

  test('a spinlock that is held when its actor ends is reported', () => {
    const { m, lock } = setUp();
    runActors(m, {
      *a() {
        yield* lock.lock();
      },
    });
    expect(m.violation).toMatchObject({
      rule: ENDED_HOLDING.id,
      actor: 0,
      expected: 'a releases what it holds before it ends',
      seen: 'it holds pages_lock',
    });
  });

  test('a reset frees a spinlock', () => {
    const { m, lock } = setUp();
    runActors(m, {
      *a() {
        yield* lock.lock();
      },
    });
    expect(
      runActors(m, {
        *a() {
          yield* lock.lock();
          yield* lock.unlock();
        },
      }),
    ).toBe('finished');
  });

  test('code that no actor runs can take a free spinlock, and cannot wait for one', () => {
    const { m, lock } = setUp();
    atomically(lock.lock());
    expect(lock.holds(-1)).toBe(true);
    expect(() => atomically(lock.lock())).toThrow('cannot wait');
    atomically(lock.unlock());
    expect(m.peek(lock.cell)).toBe(0);
    atomically(lock.unlock());
    expect(m.violation).toMatchObject({
      rule: BAD_UNLOCK.id,
      actor: -1,
      seen: 'no actor releases it, and it is free',
    });
  });
});
