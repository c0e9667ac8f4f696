/** vCPUs: entry and exit, interrupts, kicks and requests. */
import { describe, expect, test } from 'vitest';
import { BAD_GUEST_ENTRY, ENDED_HOLDING } from '../../../spec/machine/faults.ts';
import { Machine } from '../../../spec/machine/machine.ts';
import { atomically } from '../../../spec/machine/step.ts';
import {
  EXITING_GUEST,
  IN_GUEST,
  OUTSIDE_GUEST,
  requestAllAndWait,
  Vcpu,
} from '../../../spec/machine/vcpu.ts';
import { runActors, runAllSchedules, tally } from './support.ts';

const FLUSH = 1;
const OTHER = 2;

function setUp(count = 1) {
  const m = new Machine();
  const vcpus = Array.from({ length: count }, (_, i) => new Vcpu(m, `vcpu${i}`));
  const vcpu = vcpus[0] as Vcpu; // count >= 1
  const word = m.segment('word', 2, (i) => `word ${i}`);
  m.seal();
  /**
   * Runs the guest `rounds` times; each time it makes up to `steps` accesses, until it notices an
   * interrupt.
   */
  const guest = (v: Vcpu, rounds: number, steps = 3) =>
    function* () {
      for (let i = 0; i < rounds; i++) {
        yield* v.takeRequests(FLUSH);
        if (!(yield* v.enterUnlessRequested())) continue;
        for (let step = 0; step < steps && !(yield* v.notices()); step++) yield* m.read(word);
        yield* v.leave();
      }
    };
  return { m, vcpu, vcpus, word, guest };
}

describe('a vCPU', () => {
  test('a vCPU is outside the guest, in it, or exiting after a kick', () => {
    const { m, vcpu } = setUp();
    const modes: number[] = [vcpu.mode()];
    runActors(m, {
      *thread() {
        yield* vcpu.enter();
        modes.push(vcpu.mode());
        yield* vcpu.kick();
        modes.push(vcpu.mode());
        yield* vcpu.leave();
        modes.push(vcpu.mode());
      },
    });
    expect(modes).toEqual([OUTSIDE_GUEST, IN_GUEST, EXITING_GUEST, OUTSIDE_GUEST]);
  });

  test('a vCPU that enters twice, or leaves by another thread, breaks H08', () => {
    const { m, vcpu, word } = setUp();
    runActors(m, {
      *a() {
        yield* vcpu.enter();
        yield* vcpu.enter();
      },
    });
    expect(m.violation).toMatchObject({
      rule: BAD_GUEST_ENTRY.id,
      expected: 'vcpu0 enters from outside the guest',
      seen: 'in guest',
    });
    runActors(m, {
      *a() {
        yield* vcpu.enter();
        yield* m.relax(word);
        yield* vcpu.leave();
      },
      *b() {
        yield* vcpu.leave();
      },
    });
    expect(m.violation).toMatchObject({
      rule: BAD_GUEST_ENTRY.id,
      actor: 1,
      seen: 'b makes it leave',
    });
  });

  test('a vCPU that is in the guest when its thread ends is reported', () => {
    const { m, vcpu } = setUp();
    runActors(m, {
      *a() {
        yield* vcpu.enter();
      },
    });
    expect(m.violation).toMatchObject({ rule: ENDED_HOLDING.id, seen: 'it holds vcpu0' });
  });

  test('takeRequests() clears the wanted requests and keeps the others', () => {
    const { vcpu } = setUp();
    atomically(vcpu.request(FLUSH));
    atomically(vcpu.request(OTHER));
    expect(atomically(vcpu.takeRequests(FLUSH | 4))).toBe(FLUSH);
    expect([vcpu.requests(), atomically(vcpu.checkRequests())]).toEqual([OTHER, OTHER]);
  });

  test('a vCPU with a pending request does not stay in the guest', () => {
    const { vcpu } = setUp();
    atomically(vcpu.request(FLUSH));
    expect([atomically(vcpu.enterUnlessRequested()), vcpu.mode()]).toEqual([false, OUTSIDE_GUEST]);
    atomically(vcpu.takeRequests(FLUSH));
    expect([atomically(vcpu.enterUnlessRequested()), vcpu.mode()]).toEqual([true, IN_GUEST]);
  });

  test("a vCPU's cells have names", () => {
    const { m, vcpu } = setUp();
    expect([m.nameOf(vcpu.cell), m.nameOf(vcpu.cell + 1)]).toEqual(['vcpu0', 'vcpu0.requests']);
  });
});

describe('an interrupt', () => {
  test('the guest notices an interrupt at its next step, and leaving takes it', () => {
    const { vcpu } = setUp();
    atomically(vcpu.enter());
    expect(atomically(vcpu.notices())).toBe(false);
    atomically(vcpu.interrupt());
    expect(atomically(vcpu.notices())).toBe(true);
    atomically(vcpu.leave());
    expect(vcpu.isInterrupted()).toBe(false);
  });

  test('the host takes an interrupt at once while the vCPU is outside', () => {
    const { vcpu } = setUp();
    atomically(vcpu.interrupt());
    atomically(vcpu.enter());
    expect(vcpu.isInterrupted()).toBe(false);
  });
});

describe('a kick', () => {
  test('a kick interrupts a guest once, and does not affect a vCPU that is outside', () => {
    const { m, vcpu } = setUp();
    atomically(vcpu.kick());
    expect(vcpu.isInterrupted()).toBe(false);
    atomically(vcpu.enter());
    atomically(vcpu.kick());
    const sent = m.peek(vcpu.cell + 2);
    atomically(vcpu.kick());
    expect([vcpu.isInterrupted(), vcpu.mode(), m.peek(vcpu.cell + 2)]).toEqual([
      true,
      EXITING_GUEST,
      sent,
    ]);
  });

  test('kickAndWait() returns only after the vCPU has left the guest, in every schedule', () => {
    const { m, vcpu, guest } = setUp();
    let found = 0;
    const runs = runAllSchedules(
      m,
      {
        vcpu: guest(vcpu, 1, 1),
        *host() {
          if (!(yield* vcpu.kickForWait())) return;
          found++;
          expect(vcpu.mode()).toBe(EXITING_GUEST);
          yield* vcpu.waitForExit();
          expect(vcpu.mode()).toBe(OUTSIDE_GUEST); // this guest enters only once
        },
      },
      (ending) => expect(ending).toBe('finished'),
    );
    expect(found).toBeGreaterThan(0);
    expect(found).toBeLessThan(runs);
  });

  test('kick() can return while the vCPU is still in the guest', () => {
    const { m, vcpu, guest } = setUp();
    const modes = new Set<number>();
    runAllSchedules(
      m,
      {
        vcpu: guest(vcpu, 1, 1),
        *host() {
          yield* vcpu.kick();
          modes.add(vcpu.mode());
        },
      },
      (ending) => expect(ending).toBe('finished'),
    );
    expect([...modes].toSorted()).toEqual([OUTSIDE_GUEST, EXITING_GUEST]);
  });

  test('kickAndWait() returns after one exit, even if the vCPU is in the guest again', () => {
    const { m, vcpu, word } = setUp();
    let mode = -1;
    const ending = runActors(m, {
      *host() {
        yield* m.waitUntil(vcpu.cell, () => vcpu.mode() === IN_GUEST);
        yield* vcpu.kickAndWait();
        mode = vcpu.mode();
        yield* m.write(word, 1);
      },
      *vcpu() {
        yield* vcpu.enter();
        yield* m.relax(word);
        yield* vcpu.leave();
        yield* vcpu.enter();
        yield* m.waitUntil(word, () => m.peek(word) === 1);
        yield* vcpu.leave();
      },
    });
    expect([ending, mode]).toEqual(['finished', IN_GUEST]);
  });

  test('kickAndWait() returns for several actors at once', () => {
    const { m, vcpu, guest } = setUp();
    const kicks = function* () {
      yield* vcpu.kickAndWait();
    };
    expect(tally(m, { vcpu: guest(vcpu, 3), a: kicks, b: kicks, c: kicks })).toEqual({
      finished: 200,
    });
  });

  test('kickAndWait() waits also for a vCPU that another actor has kicked', () => {
    const { m, vcpu, word } = setUp();
    const log: string[] = [];
    runActors(m, {
      *thread() {
        yield* vcpu.enter();
        yield* m.relax(word);
        yield* vcpu.leave();
        log.push('left');
      },
      *host() {
        yield* vcpu.kick();
        yield* vcpu.kickAndWait();
        log.push('waited');
      },
    });
    expect(log).toEqual(['left', 'waited']);
  });

  test('a kick of a guest that ignores interrupts deadlocks; the report names its thread', () => {
    const { m, vcpu, word } = setUp();
    const ending = runActors(m, {
      *thread() {
        yield* vcpu.enter();
        yield* m.waitUntil(word, () => m.peek(word) === 1);
        yield* vcpu.leave();
      },
      *host() {
        yield* vcpu.kickAndWait();
        yield* m.write(word, 1);
      },
    });
    expect(ending).toBe('deadlock');
    expect(m.violation?.seen).toBe('thread waits for word 0; host waits for vcpu0, held by thread');
  });
});

/**
 * The host clears `word` and kicks every vCPU: no later guest access may use the old value. Counts
 * those that do, and the runs.
 */
function shootdown(check: 'mode first' | 'requests first') {
  const { m, vcpu, word } = setUp();
  m.poke(word, 1);
  m.seal();
  let late = 0;
  const guest = function* () {
    let cached = yield* m.read(word);
    for (let i = 0; i < 2; i++) {
      if (check === 'mode first') {
        if ((yield* vcpu.takeRequests(FLUSH)) !== 0) cached = yield* m.read(word);
        if (!(yield* vcpu.enterUnlessRequested())) continue;
      } else {
        if ((yield* vcpu.takeRequests(FLUSH)) !== 0) cached = yield* m.read(word);
        yield* vcpu.enter();
      }
      if (!(yield* vcpu.notices())) {
        yield* m.read(word + 1);
        if (cached === 1 && m.peek(word + 1) === 1) late++;
      }
      yield* vcpu.leave();
    }
  };
  const runs = runAllSchedules(
    m,
    {
      guest,
      *host() {
        yield* m.write(word, 0);
        yield* requestAllAndWait([vcpu], FLUSH);
        yield* m.write(word + 1, 1);
      },
    },
    (ending) => expect(ending).toBe('finished'),
  );
  return { late, runs };
}

describe('the handshake of requests', () => {
  test('after requestAllAndWait() no vCPU uses a value that it cached before', () => {
    expect(shootdown('mode first').late).toBe(0);
  });

  test('a vCPU that checks its requests only before it enters uses a stale value', () => {
    expect(shootdown('requests first').late).toBeGreaterThan(0);
  });

  test('requestAllAndWait() reaches all vCPUs, in the guest or not', () => {
    const { m, vcpus, guest, word } = setUp(3);
    const actors = Object.fromEntries(vcpus.map((v, i) => [`thread${i}`, guest(v, 2)]));
    const counts = tally(m, {
      ...actors,
      *host() {
        yield* requestAllAndWait(vcpus, FLUSH | OTHER);
        yield* m.write(word, 1);
      },
    });
    expect(counts).toEqual({ finished: 200 });
    for (const v of vcpus) expect(v.requests() & OTHER).toBe(OTHER);
  });
});
