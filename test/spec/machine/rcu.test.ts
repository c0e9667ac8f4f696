import { describe, expect, it } from 'vitest';
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
import { lockstep, play, playAll, tally } from './support.ts';

/** The first step that `steps` announce. */
const first = (steps: Generator<Access, unknown, void>): Access => steps.next().value as Access; // they all have one

function stage() {
  const m = new Machine();
  const rcu = new Rcu(m);
  const word = m.segment('word', 4, (i) => `word ${i}`);
  m.seal();
  return { m, rcu, word };
}

describe('a grace period', () => {
  it('ends only when every section that was open has been left, in every schedule', () => {
    const { m, rcu, word } = stage();
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
    const runs = playAll(
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

  it('is not held up by sections that began later', () => {
    const { m, rcu, word } = stage();
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
      play(m, {
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

  it('waits for the outermost end of nested sections', () => {
    const { m, rcu, word } = stage();
    const log: string[] = [];
    play(m, {
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

  it('is not ended by a section that the reader nests in the one that was open', () => {
    const { m, rcu, word } = stage();
    let inside = false;
    playAll(
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

  it('is waited for by the callback of a table that a reader still walks, so no use after free', () => {
    const m = new Machine();
    const rcu = new Rcu(m);
    const pages = new Pages(new Memory(m, 4, 2), 0, 4, { kinds: ['table'], reuseLast: true });
    const parent = m.segment('parent', 1);
    m.poke(parent, pages.allocNow(0));
    m.seal();
    const cast = (readSide: boolean) => ({
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
      playAll(m, cast(readSide), (ending) => broken.add(m.violation?.rule ?? ending));
      return [...broken].toSorted();
    };
    expect(rules(true)).toEqual(['finished']);
    expect(rules(false)).toEqual([USE_AFTER_FREE.id, 'finished']);
  });
});

describe('callbacks', () => {
  it('are actors of their own, that run in any order', () => {
    const { m, rcu } = stage();
    const orders = new Set<string>();
    let log = '';
    const writes = (name: string) =>
      function* () {
        log += name;
        yield* m.read(0);
      };
    playAll(
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

  it('queued before a barrier have ended when it returns', () => {
    const { m, rcu, word } = stage();
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

  it('queued after a barrier do not hold it up', () => {
    const { m, rcu, word } = stage();
    const never = function* () {
      yield* m.waitUntil(word, () => m.peek(word) === 1);
    };
    expect(
      play(
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

  it('may wait for a grace period and queue callbacks themselves', () => {
    const { m, rcu, word } = stage();
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

  it('that wait for all callbacks wait for themselves', () => {
    const { m, rcu } = stage();
    play(m, {
      *a() {
        yield* rcu.call('callback', () => rcu.barrier());
      },
    });
    expect(m.violation).toMatchObject({ rule: DEADLOCK.id, seen: 'callback waits for RCU' });
  });

  it('start empty again after a reset', () => {
    const { m, rcu, word } = stage();
    const cast = {
      *a() {
        yield* rcu.call('once', () => m.write(word, m.peek(word) + 1));
      },
    };
    for (let round = 0; round < 3; round++) {
      expect(play(m, cast)).toBe('finished');
      expect([m.peek(word), m.peek(rcu.cell)]).toEqual([1, 1]);
    }
  });
});

describe('read sections', () => {
  it('that wait for a grace period wait for ever, and say so', () => {
    const { m, rcu } = stage();
    expect(
      play(m, {
        *a() {
          yield* rcu.readLock();
          yield* rcu.synchronize();
        },
      }),
    ).toBe('deadlock');
    expect(m.violation).toMatchObject({ rule: DEADLOCK.id, seen: 'a waits for RCU, held by a' });
  });

  it('left by an actor that is in none are a bad unlock', () => {
    const { m, rcu, word } = stage();
    play(m, {
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

  it('belong to one domain: another does not wait for them', () => {
    const { m, rcu } = stage();
    const srcu = new Rcu(m, 'SRCU');
    m.seal();
    const waits = (domain: Rcu) => ({
      *a() {
        yield* srcu.readLock();
        yield* domain.synchronize();
        yield* srcu.readUnlock();
      },
    });
    expect(play(m, waits(rcu))).toBe('finished');
    expect(play(m, waits(srcu))).toBe('deadlock');
    expect(m.violation?.seen).toBe('a waits for SRCU, held by a');
  });

  it('left open by an actor that ends are reported', () => {
    const { m, rcu } = stage();
    play(m, {
      *a() {
        yield* rcu.readLock();
      },
    });
    expect(m.violation).toMatchObject({ rule: ENDED_HOLDING.id, seen: 'it holds RCU' });
  });

  it('commute with each other, and with nothing that looks at them', () => {
    const { rcu, m } = stage();
    const section = first(rcu.readLock());
    expect(cellOf(section)).toBe(rcu.cell);
    expect(independent(section, first(rcu.readUnlock()))).toBe(true);
    expect(independent(section, first(rcu.call('c', () => m.write(0, 0))))).toBe(false);
    expect(independent(section, first(rcu.synchronize()))).toBe(false);
  });

  it('work in an atomic run', () => {
    const { rcu, m } = stage();
    atomically(rcu.readLock());
    expect(() => atomically(rcu.synchronize())).toThrow('would wait for ever');
    atomically(rcu.readUnlock());
    atomically(rcu.synchronize());
    expect(m.nameOf(rcu.cell + 1)).toBe('RCU.oldestReader');
    expect(m.peek(rcu.cell)).toBe(2);
  });
});
