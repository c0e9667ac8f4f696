/**
 * Drives the same actors, on the same machine and under the same rules, by fast-check's schedulers:
 * each resume of an actor's generator waits for a scheduled task with the actor's name as label.
 */
import fc from 'fast-check';
import type { Actor, Machine } from '../../spec/machine/machine.ts';
import { announceFrom, isEnabled, perform } from '../../spec/machine/run.ts';
import type { Contender } from './measure.ts';
import { checked, judged, type Target } from './target.ts';

/** Makes the scheduler run its tasks until the session has ended. */
type Drain = (s: fc.Scheduler, session: Session) => Promise<unknown>;

export const WAIT_IDLE = 'fc.scheduler, waitIdle (recommended)';

/** The ways to wait that `fc.scheduler` offers. */
const DRAINS: ReadonlyMap<string, Drain> = new Map<string, Drain>([
  [
    'fc.scheduler, waitAll (deprecated)',
    async (s, session) => {
      // waitAll ends when nothing is scheduled, although an actor may be about to schedule
      while (!session.hasEnded) await s.waitAll();
    },
  ],
  ['fc.scheduler, waitFor', (s, session) => s.waitFor(session.ended)],
  [WAIT_IDLE, (s) => s.waitIdle()],
]);

/** One contender for each way to wait. */
export const schedulerContenders = (target: Target): Contender[] =>
  [...DRAINS].map(([name, drain]) => ({
    name,
    run: (amount, seed) =>
      checked(amount, seed, (count) =>
        fc.asyncProperty(target.programs, fc.scheduler(), async (scenario, s) => {
          target.prepare(scenario);
          const session = new Session(target.m, s);
          session.start();
          await drain(s, session);
          return judged(target, session.hasEnded, count);
        }),
      ),
  }));

/** One sequence of tasks for each actor, for programs in which each actor takes `steps` steps. */
export const sequenceContender = (target: Target, steps: number): Contender => ({
  name: 'fc.scheduler, scheduleSequence + waitAll',
  run: (amount, seed) =>
    checked(amount, seed, (count) =>
      fc.asyncProperty(target.programs, fc.scheduler(), async (scenario, s) => {
        target.prepare(scenario);
        const { m } = target;
        announceFrom(m, 0);
        for (const { index, name } of m.actors) {
          const task = { builder: async () => perform(m, index), label: name };
          s.scheduleSequence(Array.from({ length: steps }, () => task));
        }
        await s.waitAll();
        return judged(
          target,
          m.actors.every(({ done }) => done),
          count,
        );
      }),
    ),
});

/** One run of a scenario, its actors driven by promises. */
class Session {
  hasEnded = false;
  readonly ended: Promise<void>;
  private readonly m: Machine;
  private readonly s: fc.Scheduler;
  private running = 0;
  private waiting: (() => void)[] = [];
  private end: () => void = () => {};

  constructor(m: Machine, s: fc.Scheduler) {
    this.m = m;
    this.s = s;
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

  /** An actor that cannot step schedules nothing until another actor has stepped. */
  private async drive(actor: Actor): Promise<void> {
    while (!actor.done && this.m.violation === null) {
      if (isEnabled(actor)) await this.s.schedule(Promise.resolve(), actor.name);
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
