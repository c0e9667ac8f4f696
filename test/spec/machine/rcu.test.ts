/** RCU: read sections, grace periods and callbacks. */
import { describe, expect, test } from 'vitest';
import {
  BAD_UNLOCK,
  DEADLOCK,
  ENDED_HOLDING,
  USE_AFTER_FREE,
} from '../../../spec/machine/faults.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { Memory } from '../../../spec/machine/memory.ts';
import { Pages } from '../../../spec/machine/pages.ts';
import { Rcu } from '../../../spec/machine/rcu.ts';
import { atomically, cellOf, independent, type Access } from '../../../spec/machine/step.ts';
import { lockstep, runActors, runAllSchedules, tally } from './support.ts';

/** First step that `steps` announce. */
const first = (steps: Generator<Access, unknown, void>): Access =>
  // not done: each has a step
  steps.next().value as Access;

function setUp() {
  const m = new Machine();
  const rcu = new Rcu(m);
  const word = m.segment('word', 4, (i) => `word ${i}`);
  m.seal();
  return { m, rcu, word };
}

describe('a grace period', () => {
  test('a grace period ends only after every open section has been left, in every schedule', () => {
    const { m, rcu, word } = setUp();
    const inside = new Set<string>();
    let owed: string[] = [];
    let waited = 0;
    const reader = (name: string) =>
      function* () {
        yield* rcu.readLock();
        inside.add(name);
        yield* rcu.readUnlock();
        inside.delete(name);
      };
    const runs = runAllSchedules(
      m,
      {
        a: reader('a'),
        b: reader('b'),
        *c() {
          yield* rcu.call('callback', function* () {
            expect(owed.filter((name) => inside.has(name))).toEqual([]);
            yield* m.write(word, 1);
          });
          owed = [...inside];
          if (owed.length > 0) waited++;
        },
      },
      (ending) => {
        expect([ending, m.peek(word)]).toEqual(['finished', 1]);
        inside.clear();
      },
    );
    expect(waited).toBeGreaterThan(0);
    expect(waited).toBeLessThan(runs);
  });

  test('sections that begin later do not delay a grace period', () => {
    const { m, rcu, word } = setUp();
    const log: string[] = [];
    const late = function* () {
      yield* m.waitUntil(rcu.cell, () => m.peek(rcu.cell) === 1);
      yield* rcu.readLock();
      log.push('late in');
      yield* m.waitUntil(word, () => m.peek(word) === 1);
      yield* rcu.readUnlock();
      log.push('late out');
    };
    expect(
      runActors(m, {
        *early() {
          yield* rcu.readLock();
          yield* m.relax(word);
          yield* m.relax(word);
          yield* rcu.readUnlock();
          log.push('early out');
        },
        *c() {
          yield* rcu.call('callback', function* () {
            log.push('callback');
            yield* m.write(word, 1);
          });
        },
        late,
      }),
    ).toBe('finished');
    expect(log).toEqual(['late in', 'early out', 'callback', 'late out']);
  });

  test('a grace period waits for the outermost section of a nest', () => {
    const { m, rcu, word } = setUp();
    const log: string[] = [];
    runActors(m, {
      *reader() {
        yield* rcu.readLock();
        yield* rcu.readLock();
        yield* m.relax(word);
        yield* rcu.readUnlock();
        log.push('inner');
        yield* m.relax(word);
        yield* rcu.readUnlock();
        log.push('outer');
      },
      *c() {
        yield* rcu.synchronize();
        log.push('grace');
      },
    });
    expect(log).toEqual(['inner', 'outer', 'grace']);
  });

  test('leaving a nested section does not end a grace period', () => {
    const { m, rcu, word } = setUp();
    let inside = false;
    runAllSchedules(
      m,
      {
        *reader() {
          yield* rcu.readLock();
          inside = true;
          yield* rcu.readLock();
          yield* m.read(word);
          inside = false;
          yield* rcu.readUnlock();
          yield* rcu.readUnlock();
        },
        *c() {
          yield* m.waitUntil(word, () => inside || m.actors[0]?.done === true);
          const owed = inside;
          yield* rcu.synchronize();
          if (owed) expect(m.actors[0]?.done).toBe(true);
        },
      },
      (ending) => expect(ending).toBe('finished'),
    );
  });

  test('an RCU callback frees a table only after its readers, so no use after free occurs', () => {
    const m = new Machine();
    const rcu = new Rcu(m);
    const pages = new Pages(new Memory(m, 4, 2), 0, 4, { kinds: ['table'], reuseLast: true });
    const parent = m.segment('parent', 1);
    m.poke(parent, pages.allocNow(0));
    m.seal();
    const actors = (readSide: boolean) => ({
      *reader() {
        if (readSide) yield* rcu.readLock();
        const table = yield* m.read(parent);
        if (table !== 0) yield* pages.readAt(table, 1);
        if (readSide) yield* rcu.readUnlock();
      },
      *zapper() {
        const table = yield* m.xchg(parent, 0);
        yield* rcu.call('free table', () => pages.free(table));
      },
    });
    const rules = (readSide: boolean) => {
      const broken = new Set<string>();
      runAllSchedules(m, actors(readSide), (ending) => broken.add(m.violation?.rule ?? ending));
      return [...broken].toSorted();
    };
    expect(rules(true)).toEqual(['finished']);
    expect(rules(false)).toEqual([USE_AFTER_FREE.id, 'finished']);
  });
});

describe('callbacks', () => {
  test('callbacks are actors, and run in any order', () => {
    const { m, rcu } = setUp();
    const orders = new Set<string>();
    let log = '';
    const writes = (name: string) =>
      function* () {
        log += name;
        yield* m.read(0);
      };
    runAllSchedules(
      m,
      {
        *c() {
          yield* rcu.call('first', writes('1'));
          yield* rcu.call('second', writes('2'));
        },
      },
      () => {
        orders.add(log);
        log = '';
      },
    );
    expect([...orders].toSorted()).toEqual(['12', '21']);
    expect(m.actors.map((actor) => actor.name)).toEqual(['c', 'first', 'second']);
  });

  test('a barrier returns after the callbacks queued before it have ended', () => {
    const { m, rcu, word } = setUp();
    const writes = (cell: number) =>
      function* () {
        yield* m.read(cell);
        yield* m.write(cell, 1);
      };
    const counts = tally(m, {
      *a() {
        yield* rcu.call('a0', writes(word));
        yield* rcu.call('a1', writes(word + 1));
        yield* rcu.barrier();
        expect([m.peek(word), m.peek(word + 1)]).toEqual([1, 1]);
      },
      *b() {
        yield* rcu.readLock();
        yield* m.read(word + 2);
        yield* rcu.readUnlock();
        yield* rcu.call('b0', writes(word + 2));
        yield* rcu.barrier();
        expect(m.peek(word + 2)).toBe(1);
      },
    });
    expect(counts).toEqual({ finished: 200 });
  });

  test('callbacks queued after a barrier do not delay it', () => {
    const { m, rcu, word } = setUp();
    const never = function* () {
      yield* m.waitUntil(word, () => m.peek(word) === 1);
    };
    expect(
      runActors(
        m,
        {
          *b() {
            yield* rcu.call('b0', never);
          },
          *a() {
            // its barrier begins before the call above, and waits after it
            yield* rcu.barrier();
            yield* m.write(word, 1);
          },
        },
        lockstep,
      ),
    ).toBe('finished');
  });

  test('a callback may wait for a grace period and queue callbacks', () => {
    const { m, rcu, word } = setUp();
    const counts = tally(m, {
      *a() {
        yield* rcu.call('outer', function* () {
          yield* rcu.synchronize();
          yield* rcu.call('inner', () => m.write(word, 1));
        });
        yield* rcu.barrier();
      },
      *b() {
        yield* rcu.readLock();
        yield* rcu.readUnlock();
        yield* m.waitUntil(word, () => m.peek(word) === 1);
      },
    });
    expect(counts).toEqual({ finished: 200 });
  });

  test('a callback that waits for all callbacks deadlocks', () => {
    const { m, rcu } = setUp();
    runActors(m, {
      *a() {
        yield* rcu.call('callback', () => rcu.barrier());
      },
    });
    expect(m.violation).toMatchObject({ rule: DEADLOCK.id, seen: 'callback waits for RCU' });
  });

  test('a reset clears the queue of callbacks', () => {
    const { m, rcu, word } = setUp();
    const actors = {
      *a() {
        yield* rcu.call('once', () => m.write(word, m.peek(word) + 1));
      },
    };
    for (let round = 0; round < 3; round++) {
      expect(runActors(m, actors)).toBe('finished');
      expect([m.peek(word), m.peek(rcu.cell)]).toEqual([1, 1]);
    }
  });
});

describe('read sections', () => {
  test('an actor that waits for a grace period inside its section deadlocks, and is named', () => {
    const { m, rcu } = setUp();
    expect(
      runActors(m, {
        *a() {
          yield* rcu.readLock();
          yield* rcu.synchronize();
        },
      }),
    ).toBe('deadlock');
    expect(m.violation).toMatchObject({ rule: DEADLOCK.id, seen: 'a waits for RCU, held by a' });
  });

  test('leaving a section without having entered one is a bad unlock', () => {
    const { m, rcu, word } = setUp();
    runActors(m, {
      *a() {
        yield* rcu.readLock();
        yield* m.relax(word);
        yield* rcu.readUnlock();
      },
      *b() {
        yield* rcu.readUnlock();
      },
    });
    expect(m.violation).toMatchObject({ rule: BAD_UNLOCK.id, actor: 1, seen: 'b leaves' });
  });

  test('a grace period does not wait for sections of another domain', () => {
    const { m, rcu } = setUp();
    const srcu = new Rcu(m, 'SRCU');
    m.seal();
    const waits = (domain: Rcu) => ({
      *a() {
        yield* srcu.readLock();
        yield* domain.synchronize();
        yield* srcu.readUnlock();
      },
    });
    expect(runActors(m, waits(rcu))).toBe('finished');
    expect(runActors(m, waits(srcu))).toBe('deadlock');
    expect(m.violation?.seen).toBe('a waits for SRCU, held by a');
  });

  test('a section that is open when its actor ends is reported', () => {
    const { m, rcu } = setUp();
    runActors(m, {
      *a() {
        yield* rcu.readLock();
      },
    });
    expect(m.violation).toMatchObject({ rule: ENDED_HOLDING.id, seen: 'it holds RCU' });
  });

  test('sections commute with each other, and with no step that depends on them', () => {
    const { rcu, m } = setUp();
    const section = first(rcu.readLock());
    expect(cellOf(section)).toBe(rcu.cell);
    expect(independent(section, first(rcu.readUnlock()))).toBe(true);
    expect(independent(section, first(rcu.call('c', () => m.write(0, 0))))).toBe(false);
    expect(independent(section, first(rcu.synchronize()))).toBe(false);
  });

  test('sections work in code that no actor runs', () => {
    const { rcu, m } = setUp();
    atomically(rcu.readLock());
    expect(() => atomically(rcu.synchronize())).toThrow('cannot wait');
    atomically(rcu.readUnlock());
    atomically(rcu.synchronize());
    expect(m.nameOf(rcu.cell + 1)).toBe('RCU.oldestReader');
    expect(m.peek(rcu.cell)).toBe(2);
  });
});
