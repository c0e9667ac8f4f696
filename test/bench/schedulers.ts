/**
 * The same actors on the same machine under the same rules, driven by fast-check's schedulers: each resume of an
 * actor's generator waits for a scheduled task. That is how a user of these schedulers would write it.
 */
import fc from 'fast-check';
import type { Actor, Machine } from '../../spec/machine/machine.ts';
import { announceFrom, isEnabled, perform } from '../../spec/machine/run.ts';
import type { Engine } from '../../properties/engine.ts';
import type { History } from '../../properties/history.ts';
import type { Contender, Work } from './measure.ts';

/** Makes the scheduler run what is scheduled, until the session has ended. */
type Drain = (s: fc.Scheduler, session: Session) => Promise<unknown>;

/** The ways to wait that `fc.scheduler` offers, in the order in which they came into fast-check. */
const DRAINS: ReadonlyMap<string, Drain> = new Map<string, Drain>([
  ['waitAll', async (s, session) => {
    // one waitAll ends when nothing is scheduled, though somebody may be about to
    while (!session.hasEnded) await s.waitAll();
  }],
  ['waitFor', (s, session) => s.waitFor(session.ended)],
  ['waitIdle', (s) => s.waitIdle()],
]);

/** One run of a history, its actors driven by promises. */
class Session {
  hasEnded = false;
  readonly ended: Promise<void>;
  private readonly m: Machine;
  private readonly turn: () => Promise<void>;
  private running = 0;
  private waiting: (() => void)[] = [];
  private end: () => void = () => {};

  constructor(m: Machine, turn: () => Promise<void>) {
    this.m = m;
    this.turn = turn;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  start(): void {
    announceFrom(this.m, 0);
    this.driveFrom(0);
  }

  private driveFrom(first: number): void {
    for (let i = first; i < this.m.actors.length; i++) {
      this.running++;
      void this.drive(this.m.actors[i] as Actor); // i < m.actors.length
    }
  }

  private async drive(actor: Actor): Promise<void> {
    while (!actor.done && this.m.violation === null) {
      if (isEnabled(actor)) await this.turn();
      else await new Promise<void>((resolve) => this.waiting.push(resolve));
      if (isEnabled(actor) && this.m.violation === null) this.step(actor);
    }
    if (--this.running > 0) return;
    this.hasEnded = true;
    this.end();
  }

  private step(actor: Actor): void {
    const { m } = this;
    const before = m.actors.length;
    perform(m, actor.index);
    announceFrom(m, before);
    this.driveFrom(before);
    if (this.waiting.length === 0) return;
    const woken = this.waiting;
    this.waiting = [];
    for (const wake of woken) wake();
  }
}

/** Contenders that run histories of `arbitrary` on `engine`, one for each way to wait. */
export const schedulerContenders = (engine: Engine, arbitrary: fc.Arbitrary<History>): Contender[] =>
  [...DRAINS].map(([name, drain]) => ({
    name: `fc.scheduler, ${name}`,
    run: (amount, seed) => checked(engine, amount, seed, fc.asyncProperty(arbitrary, fc.scheduler(), async (history, s) => {
      engine.prepare(history);
      const session = new Session(engine.vm.m, () => s.schedule(Promise.resolve()));
      session.start();
      await drain(s, session);
      return holds(engine, session.hasEnded);
    })),
  }));

/** The same with one sequence of tasks an actor, for programs whose number of steps an actor is known beforehand. */
export const sequenceContender = (engine: Engine, arbitrary: fc.Arbitrary<History>, steps: number): Contender => ({
  name: 'fc.scheduler, scheduleSequence + waitAll',
  run: (amount, seed) => checked(engine, amount, seed, fc.asyncProperty(arbitrary, fc.scheduler(), async (history, s) => {
    engine.prepare(history);
    const { m } = engine.vm;
    announceFrom(m, 0);
    for (const { index } of m.actors) {
      s.scheduleSequence(Array.from({ length: steps }, () => async () => perform(m, index)));
    }
    await s.waitAll();
    return holds(engine, m.actors.every(({ done }) => done));
  })),
});

/** The verdict on what has been run: every actor has ended, and no rule is broken. */
export function holds(engine: Engine, ended: boolean): boolean {
  const { m } = engine.vm;
  if (ended) engine.book.atRest();
  engine.steps += m.now;
  return ended && m.violation === null;
}

/** Runs a property of which no run may fail. */
export async function checked(
  engine: Engine, numRuns: number, seed: number, property: fc.IRawProperty<unknown>,
): Promise<Work> {
  const before = engine.steps;
  const { failed, errorInstance } = await fc.check(property, { numRuns, seed });
  if (failed) throw new Error('a run of the bench failed', { cause: errorInstance });
  return { steps: engine.steps - before };
}
