/** Read-write locks: exclusion, the queue, and the order in which it is served. */
import { describe, expect, test } from 'vitest';
import { BAD_UNLOCK, LIVELOCK } from '../../../spec/machine/faults.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { RwLock } from '../../../spec/machine/rwlock.ts';
import { ACQUIRE, atomically, cellOf, kindOf } from '../../../spec/machine/step.ts';
import { runActors, runAllSchedules, Scripted, tally } from './support.ts';

function setUp(fair = true) {
  const m = new Machine();
  const lock = new RwLock(m, 'mmu_lock', fair);
  const word = m.segment('word', 1);
  m.seal();
  const reader = function* () {
    yield* lock.readLock();
    yield* m.read(word);
    yield* lock.readUnlock();
  };
  const writer = function* () {
    yield* lock.writeLock();
    yield* m.read(word);
    yield* lock.writeUnlock();
  };
  return { m, lock, word, reader, writer };
}

describe.each([
  ['fair', true],
  ['unfair', false],
] as const)('a %s rwlock', (_name, fair) => {
  test('a rwlock excludes a writer from all others, and admits readers together', () => {
    const { m, lock, word } = setUp(fair);
    let together = 0;
    const check = () => {
      const readers = [0, 1, 2, 3].filter((actor) => lock.heldForRead(actor));
      const writers = [0, 1, 2, 3].filter((actor) => lock.heldForWrite(actor));
      expect(writers.length === 0 || (writers.length === 1 && readers.length === 0)).toBe(true);
      if (readers.length === 2) together++;
    };
    const reads = function* () {
      yield* lock.readLock();
      check();
      yield* m.read(word);
      check();
      yield* lock.readUnlock();
    };
    const writes = function* () {
      yield* lock.writeLock();
      check();
      yield* m.read(word);
      check();
      yield* lock.writeUnlock();
    };
    expect(tally(m, { a: reads, b: reads, c: writes, d: writes }, 400)).toEqual({ finished: 400 });
    expect(together).toBeGreaterThan(20);
  });

  test('a reader and two writers finish in every schedule', () => {
    const { m, reader, writer } = setUp(fair);
    const runs = runAllSchedules(m, { a: reader, b: writer, c: writer }, (ending) =>
      expect(ending).toBe('finished'),
    );
    expect(runs).toBe(fair ? 84 : 102);
  });

  test("a rwlock is contended from an actor's arrival until it takes the lock", () => {
    const { m, lock, word } = setUp(fair);
    const seen: boolean[] = [];
    runActors(m, {
      *holder() {
        yield* lock.writeLock();
        seen.push(yield* lock.contended());
        yield* m.relax(word);
        seen.push(yield* lock.contended());
        yield* lock.writeUnlock();
        yield* m.relax(word);
        seen.push(yield* lock.contended());
      },
      *waiter() {
        yield* lock.readLock();
        yield* m.relax(word);
        yield* lock.readUnlock();
      },
    });
    expect(seen).toEqual([false, true, false]);
  });

  test('a rwlock counts the read holds of an actor', () => {
    const { m, lock } = setUp(fair);
    const held: boolean[] = [];
    expect(
      runActors(m, {
        *a() {
          yield* lock.readLock();
          yield* lock.readLock();
          yield* lock.readUnlock();
          held.push(lock.heldForRead(0), lock.heldForWrite(0));
          yield* lock.readUnlock();
          held.push(lock.heldForRead(0));
        },
      }),
    ).toBe('finished');
    expect(held).toEqual([true, false, false]);
  });

  test('a reader that takes the lock for write deadlocks with itself', () => {
    const { m, lock } = setUp(fair);
    expect(
      runActors(m, {
        *a() {
          yield* lock.readLock();
          yield* lock.writeLock();
        },
      }),
    ).toBe('deadlock');
    expect(m.violation?.seen).toBe('a waits for mmu_lock, held by a');
    expect(
      runActors(m, {
        *a() {
          yield* lock.writeLock();
          yield* lock.readLock();
        },
      }),
    ).toBe('deadlock');
    expect(
      runActors(m, {
        *a() {
          yield* lock.writeLock();
          yield* lock.writeLock();
        },
      }),
    ).toBe('deadlock');
  });

  test('a deadlock report names every reader that a writer waits for', () => {
    const { m, lock, word } = setUp(fair);
    const stuck = function* () {
      yield* lock.readLock();
      yield* m.waitUntil(word, () => false);
    };
    runActors(m, {
      a: stuck,
      b: stuck,
      *c() {
        yield* lock.writeLock();
      },
    });
    expect(m.violation?.seen).toBe(
      'a waits for word[0]; b waits for word[0]; c waits for mmu_lock, held by a and b',
    );
  });

  test('an unlock in a mode that the actor does not hold is a bad unlock', () => {
    const { m, lock } = setUp(fair);
    const cases = [
      [
        function* () {
          yield* lock.readUnlock();
        },
        'read',
      ],
      [
        function* () {
          yield* lock.writeUnlock();
        },
        'write',
      ],
      [
        function* () {
          yield* lock.readLock();
          yield* lock.writeUnlock();
        },
        'write',
      ],
      [
        function* () {
          yield* lock.writeLock();
          yield* lock.readUnlock();
        },
        'read',
      ],
    ] as const;
    for (const [a, mode] of cases) {
      expect(runActors(m, { a })).toBe('violated');
      expect(m.violation).toMatchObject({
        rule: BAD_UNLOCK.id,
        expected: `mmu_lock released for ${mode} by an actor that holds it for ${mode}`,
        seen: 'a releases it',
      });
    }
  });

  test('code that no actor runs cannot wait for a rwlock', () => {
    const { m, lock } = setUp(fair);
    atomically(lock.writeLock());
    expect([lock.holds(-1), lock.holds(0)]).toEqual([true, false]);
    expect(() => atomically(lock.readLock())).toThrow('cannot wait');
    m.reset();
    atomically(lock.readLock());
    expect(m.peek(lock.cell)).toBe(1);
    expect(m.nameOf(lock.cell + 1)).toBe('mmu_lock.writer');
  });
});

/** Two readers whose sections overlap without end, until a writer has held the lock. */
function endlessReaders(fair: boolean) {
  const { m, lock, word } = setUp(fair);
  const reads = function* () {
    do {
      yield* lock.readLock();
      yield* m.relax(word);
      yield* lock.readUnlock();
    } while ((yield* m.read(word)) === 0);
  };
  const ending = runActors(
    m,
    {
      a: reads,
      b: reads,
      *w() {
        yield* lock.writeLock();
        yield* m.write(word, 1);
        yield* lock.writeUnlock();
      },
    },
    undefined,
    1_000,
  );
  return { ending, rule: m.violation?.rule };
}

/**
 * Order in which three actors that wait take the lock. They arrive as they are named; the choices
 * then try the last one first.
 */
function order(fair: boolean) {
  const { m, lock, word } = setUp(fair);
  const log: string[] = [];
  const reads = (name: string) =>
    function* () {
      yield* lock.readLock();
      log.push(name);
      yield* lock.readUnlock();
    };
  const writes = (name: string) =>
    function* () {
      yield* lock.writeLock();
      log.push(name);
      yield* lock.writeUnlock();
    };
  const actors = {
    *holder() {
      yield* lock.writeLock();
      yield* m.relax(word);
      yield* lock.writeUnlock();
      yield* m.relax(word);
    },
    w: writes('w'),
    r: reads('r'),
    x: writes('x'),
  };
  const orders = new Set<string>();
  runAllSchedules(m, actors, () => {
    orders.add(log.splice(0).join(''));
  });
  const arrived = new Scripted();
  runActors(m, actors, {
    pick(n, ...about) {
      const waiting = m.actors.filter(
        (a) => cellOf(a.next) === lock.cell && kindOf(a.next) === ACQUIRE,
      );
      return waiting.length === 3 ? n - 1 : arrived.pick(n, ...about);
    },
  });
  return { all: [...orders].toSorted(), afterArrival: log.join('') };
}

describe('fairness', () => {
  test('a fair rwlock keeps new readers out while a writer waits', () => {
    expect(endlessReaders(true)).toEqual({ ending: 'finished', rule: undefined });
  });

  test('readers that overlap starve a writer of an unfair rwlock', () => {
    expect(endlessReaders(false)).toEqual({ ending: 'livelock', rule: LIVELOCK.id });
  });

  test.each([
    [true, 'first waiter first'],
    [false, 'first first waiter'],
  ])(
    'a writer that takes a rwlock again (fair: %s) and one that waits hold it in this order: %s',
    (fair, expected) => {
      const { m, lock, word } = setUp(fair);
      const log: string[] = [];
      runActors(m, {
        *first() {
          for (let i = 0; i < 2; i++) {
            yield* lock.writeLock();
            log.push('first');
            yield* m.relax(word);
            yield* lock.writeUnlock();
          }
        },
        *waiter() {
          yield* lock.writeLock();
          log.push('waiter');
          yield* lock.writeUnlock();
        },
      });
      expect(log.join(' ')).toBe(expected);
    },
  );

  test('a fair rwlock serves its queue in order of arrival', () => {
    const { all, afterArrival } = order(true);
    expect(afterArrival).toBe('wrx');
    expect(all).toEqual(['rwx', 'rxw', 'wrx', 'wxr', 'xrw', 'xwr']);
  });

  test('an unfair rwlock serves its queue in the order of the schedule', () => {
    const { all, afterArrival } = order(false);
    expect(afterArrival).not.toBe('wrx');
    expect(all).toHaveLength(6);
  });
});
