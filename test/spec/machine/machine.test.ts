/** Machines: cells, reset, steps that commute, waiting and actors. */
import { describe, expect, test } from 'vitest';
import { Machine, MAX_ACTORS } from '../../../spec/machine/machine.ts';
import { perform } from '../../../spec/machine/run.ts';
import {
  ACQUIRE,
  access,
  atomically,
  READ,
  RELEASE,
  RMW,
  WRITE,
} from '../../../spec/machine/step.ts';
import { runActors, Scripted, Seeded } from './support.ts';

function* nothing() {}

describe('the state of a machine', () => {
  test('a reset restores the sealed state, whatever a run has changed', () => {
    const m = new Machine();
    const base = m.segment('words', 5_000);
    for (let i = 0; i < 5_000; i += 7) m.poke(base + i, i);
    m.seal();
    const random = new Seeded(1);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 300; i++) m.poke(base + random.pick(5_000), random.pick(1_000));
      m.reset();
      for (let i = 0; i < 5_000; i++) expect(m.peek(base + i)).toBe(i % 7 === 0 ? i : 0);
    }
  });

  test('a reset zeroes a machine that was never sealed', () => {
    const m = new Machine();
    const base = m.segment('words', 200);
    m.poke(base + 199, 3);
    m.reset();
    expect(m.peek(base + 199)).toBe(0);
  });

  test('cells keep their values when the array grows', () => {
    const m = new Machine();
    const early = m.segment('early', 10);
    m.poke(early + 3, 33);
    m.seal();
    const late = m.segment('late', 10_000);
    m.poke(late + 9_999, 4);
    expect([m.peek(early + 3), m.peek(late + 9_999)]).toEqual([33, 4]);
    m.poke(early + 3, 34);
    m.reset();
    expect([m.peek(early + 3), m.peek(late + 9_999)]).toEqual([33, 0]);
  });

  test('only chunks that a run has written count as touched', () => {
    const m = new Machine();
    const base = m.segment('words', 1_000);
    m.seal();
    m.poke(base + 700, 1);
    m.poke(base + 130, 1);
    m.poke(base + 131, 0);
    const touched: number[] = [];
    m.forEachTouched((cell) => touched.push(cell));
    expect(touched).toHaveLength(128);
    expect(touched).toContain(base + 130);
    expect(touched).toContain(base + 700);
    expect(touched).toEqual(touched.toSorted((a, b) => a - b));
    m.reset();
    m.forEachTouched(() => expect.unreachable('nothing is touched after a reset'));
  });

  test('a reset clears actors, time, violation and state outside cells', () => {
    const m = new Machine();
    let resets = 0;
    m.onReset(() => resets++);
    m.seal();
    m.spawn('actor', nothing());
    m.now = 7;
    m.violate('X01', 'peace', 'war');
    m.reset();
    expect([m.actors.length, m.now, m.violation, m.current, resets]).toEqual([0, 0, null, -1, 1]);
  });
});

describe('cells', () => {
  test('cells have the names of their fields', () => {
    const m = new Machine();
    const plain = m.segment('plain', 2);
    const table = m.segment('table', 4, (i) => `table entry ${i}`);
    const lock = m.record('lock', 'writer');
    const mine = m.perActor('ticket');
    m.spawn('vcpu0', nothing());
    expect(m.nameOf(plain + 1)).toBe('plain[1]');
    expect(m.nameOf(table + 3)).toBe('table entry 3');
    expect([m.nameOf(lock), m.nameOf(lock + 1)]).toEqual(['lock', 'lock.writer']);
    expect([-1, 0, 1].map((i) => m.nameOf(mine + i))).toEqual([
      'ticket[-1]',
      'ticket[vcpu0]',
      'ticket[1]',
    ]);
    expect(m.nameOf(1_000_000)).toBe('cell 1000000');
  });

  test('a write that changes a cell reaches listeners and recorder; another does not', () => {
    const m = new Machine();
    const cell = m.segment('word', 1);
    const heard: number[][] = [];
    const recorded: number[][] = [];
    m.onWrite.push((...write) => heard.push(write));
    m.recorder = { wrote: (...write) => recorded.push(write), note: () => {} };
    m.poke(cell, 5);
    m.poke(cell, 5);
    m.poke(cell, 6);
    expect(heard).toEqual([
      [cell, 0, 5],
      [cell, 5, 6],
    ]);
    expect(recorded).toEqual(heard);
  });

  test('an operation announces each step before it performs it', () => {
    const m = new Machine();
    const cell = m.segment('word', 1);
    const seen: [number, number][] = [];
    function* actor() {
      yield* m.write(cell, 1);
      expect(yield* m.read(cell)).toBe(1);
      expect(yield* m.cmpxchg(cell, 0, 9)).toBe(false);
      expect(yield* m.cmpxchg(cell, 1, 2)).toBe(true);
      expect(yield* m.xchg(cell, 3)).toBe(2);
      expect(yield* m.add(cell, -5)).toBe(-2);
    }
    const steps = actor();
    for (let next = steps.next(); next.done !== true; next = steps.next())
      seen.push([next.value, m.peek(cell)]);
    expect(seen).toEqual([
      [access(cell, WRITE), 0],
      [access(cell, READ), 1],
      [access(cell, RMW), 1],
      [access(cell, RMW), 1],
      [access(cell, RMW), 2],
      [access(cell, RMW), 3],
    ]);
    expect(m.peek(cell)).toBe(-2);
  });
});

describe('steps that commute', () => {
  test('steps commute when they access different cells, or only read', () => {
    const m = new Machine();
    const [a, b] = [m.segment('a', 1), m.segment('b', 1)];
    expect(m.independent(access(a, WRITE), access(b, WRITE))).toBe(true);
    expect(m.independent(access(a, READ), access(a, READ))).toBe(true);
    expect(m.independent(access(a, READ), access(a, WRITE))).toBe(false);
  });

  test('a change of a guard cell does not commute with steps on the cells that it guards', () => {
    const m = new Machine();
    const words = m.segment('words', 3);
    const [life, other] = [m.segment('life', 1), m.segment('other', 1)];
    m.guard(words, 2, life);
    expect(m.independent(access(life, WRITE), access(words + 1, READ))).toBe(false);
    expect(m.independent(access(words, READ), access(life, WRITE))).toBe(false);
    expect(m.independent(access(life, READ), access(words, WRITE))).toBe(true);
    expect(m.independent(access(life, WRITE), access(words + 2, READ))).toBe(true);
    expect(m.independent(access(other, WRITE), access(words, READ))).toBe(true);
    m.segment('more', 5_000);
    expect(m.independent(access(life, WRITE), access(words + 1, READ))).toBe(false);
  });
});

describe('waiting', () => {
  test('a waiting actor steps only when its condition holds', () => {
    const m = new Machine();
    const flag = m.segment('flag', 1);
    const order: string[] = [];
    m.seal();
    const ending = runActors(m, {
      *waiter() {
        yield* m.waitUntil(flag, () => m.peek(flag) === 1);
        order.push('went on');
      },
      *setter() {
        yield* m.relax(flag);
        order.push('sets');
        yield* m.write(flag, 1);
      },
    });
    expect([ending, ...order]).toEqual(['finished', 'sets', 'went on']);
  });

  test('code that no actor runs cannot wait, unless the condition holds already', () => {
    const m = new Machine();
    const flag = m.segment('flag', 1);
    expect(() => atomically(m.waitUntil(flag, () => false))).toThrow('cannot wait');
    expect(atomically(m.waitUntil(flag, (actor) => actor === -1))).toBeUndefined();
  });

  test('a condition gets the index of the actor that waits', () => {
    const m = new Machine();
    const gate = m.segment('gate', 1, () => 'gate');
    m.seal();
    const asked: number[] = [];
    function* pass() {
      m.blockOn((actor) => {
        asked.push(actor);
        return actor === 1;
      });
      yield access(gate, ACQUIRE);
    }
    runActors(m, { first: pass, second: pass });
    expect(m.violation?.seen).toBe('first waits for gate');
    expect(new Set(asked)).toEqual(new Set([0, 1]));
  });
});

describe('actors', () => {
  test('an actor asks for outcomes by the step of its operation', () => {
    const m = new Machine();
    const cell = m.segment('word', 1);
    const script = new Scripted(1);
    m.seal();
    let outcome = -1;
    runActors(
      m,
      {
        *only() {
          yield* m.read(cell);
          m.beginOp(4);
          yield* m.read(cell);
          yield access(cell, RELEASE);
          outcome = m.choose(3);
        },
      },
      script,
    );
    expect(outcome).toBe(1);
    expect(script.asked).toEqual([{ n: 3, actor: 0, at: 2, what: 1 }]);
    expect(m.actors[0]?.op).toBe(4);
  });

  test('code that no actor runs can choose outcomes and begin operations', () => {
    const m = new Machine();
    const script = new Scripted(1);
    m.choices = script;
    m.beginOp(1);
    expect(m.choose(2)).toBe(1);
    expect(script.asked).toEqual([{ n: 2, actor: -1, at: 0, what: 1 }]);
  });

  test('a machine keeps the first violation of a run', () => {
    const m = new Machine();
    m.spawn(
      'a',
      (function* () {
        m.violate('X01', 'one', 'two');
        m.violate('X02', 'three', 'four');
      })(),
    );
    perform(m, 0);
    expect(m.violation).toEqual({ rule: 'X01', step: 0, actor: 0, expected: 'one', seen: 'two' });
  });

  test('a machine refuses more than 128 actors', () => {
    const m = new Machine();
    for (let i = 0; i < MAX_ACTORS; i++) expect(m.spawn('a', nothing())).toBe(i);
    expect(() => m.spawn('one too many', nothing())).toThrow('at most 128 actors');
  });
});
