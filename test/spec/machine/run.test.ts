/** Runs: the ordinary schedule, choices, deadlocks and livelocks. */
import { describe, expect, test } from 'vitest';
import type { Choices } from '../../../spec/machine/choices.ts';
import { OUTCOME, SWITCH } from '../../../spec/machine/choices.ts';
import { DEADLOCK, FAULTS, LIVELOCK } from '../../../spec/machine/faults.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { SpinLock } from '../../../spec/machine/spinlock.ts';
import { lockstep, runActors, runAllSchedules, Scripted } from './support.ts';

/** A machine with a word, and actors that write their names to a log in each step. */
function setUp() {
  const m = new Machine();
  const word = m.segment('word', 1, () => 'word');
  const log: string[] = [];
  m.seal();
  const writes = (name: string, times: number) =>
    function* () {
      for (let i = 0; i < times; i++) {
        yield* m.read(word);
        log.push(name);
      }
    };
  return { m, word, log, writes };
}

/** Actor that takes two locks, one inside the other. */
const takes = (x: SpinLock, y: SpinLock) =>
  function* () {
    yield* x.lock();
    yield* y.lock();
    yield* y.unlock();
    yield* x.unlock();
  };

describe('the ordinary schedule', () => {
  test('each actor runs until it ends, in order', () => {
    const { m, log, writes } = setUp();
    expect(runActors(m, { a: writes('a', 3), b: writes('b', 2) })).toBe('finished');
    expect(log.join('')).toBe('aaabb');
    expect(m.now).toBe(5);
  });

  test('an actor that pauses gives way to the next, and resumes in rotation', () => {
    const { m, word, log, writes } = setUp();
    const pauses = (name: string) =>
      function* () {
        for (let i = 0; i < 3; i++) {
          yield* m.relax(word);
          log.push(name);
        }
      };
    runActors(m, { a: pauses('a'), b: pauses('b'), c: writes('c', 2) });
    expect(log.join('')).toBe('bccababa');
  });

  test('an actor that pauses continues when no other actor is enabled', () => {
    const { m, word } = setUp();
    const ending = runActors(m, {
      *a() {
        yield* m.relax(word);
        yield* m.relax(word);
      },
      *b() {
        yield* m.waitUntil(word, () => m.now >= 2);
      },
    });
    expect([ending, m.now]).toEqual(['finished', 3]);
  });

  test('a run without any step finishes at once', () => {
    const { m } = setUp();
    expect(runActors(m, {})).toBe('finished');
    expect(runActors(m, { *a() {} })).toBe('finished');
    expect(m.now).toBe(0);
  });
});

describe('a choice', () => {
  test('choice n switches to the n-th other enabled actor', () => {
    const { m, log, writes } = setUp();
    const script = new Scripted(2, 0, 1);
    runActors(m, { a: writes('a', 2), b: writes('b', 2), c: writes('c', 2) }, script);
    expect(log.join('')).toBe('ccbbaa');
    expect(script.asked[0]).toEqual({ n: 3, actor: 0, at: 0, what: SWITCH });
    expect(script.asked[1]).toMatchObject({ n: 3, actor: 2, at: 1 });
  });

  test('no choice is requested when only one actor is enabled', () => {
    const { m, word, writes } = setUp();
    const script = new Scripted();
    runActors(
      m,
      {
        a: writes('a', 3),
        *b() {
          yield* m.waitUntil(word, () => m.now === 3);
        },
      },
      script,
    );
    expect(script.asked).toEqual([]);
  });

  test('a choice skips actors that are not enabled', () => {
    const { m, word, log, writes } = setUp();
    const blocked = function* () {
      yield* m.waitUntil(word, () => m.now >= 2);
      log.push('b');
    };
    runActors(m, { a: writes('a', 1), b: blocked, c: writes('c', 2) }, new Scripted(1));
    expect(log.join('')).toBe('ccab');
  });

  test('a choice beyond the number of enabled actors is the ordinary one', () => {
    const { m, log, writes } = setUp();
    runActors(m, { a: writes('a', 1), b: writes('b', 1) }, new Scripted(7));
    expect(log.join('')).toBe('ab');
  });

  test('choices reach every interleaving, each once', () => {
    const { m, log, writes } = setUp();
    const seen = new Set<string>();
    const count = runAllSchedules(m, { a: writes('a', 3), b: writes('b', 3) }, () =>
      seen.add(log.splice(0).join('')),
    );
    expect([count, seen.size]).toEqual([20, 20]);
  });

  test('a choice of an outcome names the step that asks', () => {
    const { m, word } = setUp();
    const asked: string[] = [];
    const choices: Choices = {
      pick(n, actor, at, what) {
        if (what === OUTCOME) asked.push(`${n} ${actor} ${at}`);
        return 0;
      },
    };
    runActors(
      m,
      {
        *a() {
          yield* m.read(word);
          yield* m.read(word);
          m.choose(2);
        },
      },
      choices,
    );
    expect(asked).toEqual(['2 0 2']);
  });
});

describe('actors that start while a run is going on', () => {
  test('an actor that is spawned during a run takes part from the next step', () => {
    const { m, word, log, writes } = setUp();
    runActors(m, {
      *a() {
        yield* m.read(word);
        m.spawn('late', writes('l', 2)());
        yield* m.read(word);
        log.push('a');
      },
    });
    expect(log.join('')).toBe('all');
    expect([m.now, m.actors[1]?.taken]).toEqual([4, 2]);
  });

  test('an actor may spawn another before its own first step', () => {
    const { m, log, writes } = setUp();
    runActors(m, {
      *a() {
        m.spawn('late', writes('l', 1)());
      },
    });
    expect(log.join('')).toBe('l');
  });
});

describe('a run', () => {
  test('a run ends with the step that breaks a rule', () => {
    const { m, word, log, writes } = setUp();
    const ending = runActors(m, {
      a: writes('a', 2),
      *b() {
        yield* m.read(word);
        m.violate('X01', 'this', 'that');
        yield* m.read(word);
        log.push('b');
      },
    });
    expect([ending, log.join('')]).toEqual(['violated', 'aa']);
    expect(m.violation).toEqual({ rule: 'X01', step: 2, actor: 1, expected: 'this', seen: 'that' });
  });

  test('a run ends before its first step when an actor breaks a rule before announcing it', () => {
    const { m } = setUp();
    expect(
      runActors(m, {
        *a() {
          m.violate('X01', 'this', 'that');
        },
      }),
    ).toBe('violated');
    expect(m.now).toBe(0);
  });

  test('actors that wait for each other deadlock; the report names locks and holders', () => {
    const { m } = setUp();
    const [first, second] = [new SpinLock(m, 'first'), new SpinLock(m, 'second')];
    m.seal();
    expect(runActors(m, { a: takes(first, second), b: takes(second, first) }, lockstep)).toBe(
      'deadlock',
    );
    expect(m.violation).toEqual({
      rule: DEADLOCK.id,
      step: 2,
      actor: -1,
      expected: 'some actor can take its next step',
      seen: 'a waits for second, held by b; b waits for first, held by a',
    });
    let deadlocks = 0;
    const runs = runAllSchedules(
      m,
      { a: takes(first, second), b: takes(second, first) },
      (ending) => {
        if (ending === 'deadlock') deadlocks++;
        else expect(ending).toBe('finished');
      },
    );
    expect({ runs, deadlocks }).toEqual({ runs: 6, deadlocks: 2 });
    runAllSchedules(m, { a: takes(first, second), b: takes(first, second) }, (ending) =>
      expect(ending).toBe('finished'),
    );
  });

  test('actors that always give way to each other livelock', () => {
    const { m } = setUp();
    const wants = [
      m.segment('a wants', 1, () => 'a wants'),
      m.segment('b wants', 1, () => 'b wants'),
    ] as const;
    m.seal();
    const polite = (mine: number, other: number) =>
      function* () {
        for (;;) {
          yield* m.write(mine, 1);
          yield* m.relax(mine);
          const contested = (yield* m.read(other)) === 1;
          yield* m.relax(mine);
          yield* m.write(mine, 0);
          if (!contested) return;
          yield* m.relax(mine);
        }
      };
    const actors = { a: polite(...wants), b: polite(wants[1], wants[0]) };
    expect(runActors(m, actors, undefined, 500)).toBe('livelock');
    expect(m.violation).toMatchObject({
      rule: LIVELOCK.id,
      step: 500,
      actor: -1,
      expected: 'every actor ends within 500 steps',
      seen: expect.stringMatching(/^still running: a at a wants; b at b wants$/),
    });
    expect(runActors(m, { a: actors.a }, undefined, 500)).toBe('finished');
  });

  test('actors that spin on each other with a spin hint livelock', () => {
    const { m } = setUp();
    const [x, y] = [m.segment('x', 1), m.segment('y', 1)];
    m.seal();
    const waitsFor = (theirs: number, mine: number) =>
      function* () {
        while ((yield* m.read(theirs)) === 0) yield* m.relax(theirs);
        yield* m.write(mine, 1);
      };
    expect(runActors(m, { a: waitsFor(x, y), b: waitsFor(y, x) }, undefined, 300)).toBe('livelock');
  });
});

describe('the table of faults', () => {
  test('every H rule has an id in order, a source, an intent and a hint', () => {
    expect(FAULTS.map((rule) => rule.id)).toEqual([
      'H01',
      'H02',
      'H03',
      'H04',
      'H05',
      'H06',
      'H07',
      'H08',
    ]);
    for (const rule of FAULTS) {
      for (const sentence of [rule.statement, rule.intent, rule.hint])
        expect(sentence).toMatch(/^[A-Z].{20,158}\.$/);
      expect(rule.source).toContain('Documentation/');
    }
  });
});
