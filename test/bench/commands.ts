/**
 * The reference configuration driven by `fc.commands`: a command makes one actor perform its next
 * operation. Under `scheduledModelRun` operations of different actors overlap; `asyncModelRun` runs
 * one after the other and cannot race. The number of commands is random, so these scenarios are
 * shorter than the others.
 */
import fc from 'fast-check';
import { announceFrom, perform } from '../../spec/machine/run.ts';
import type { Contender } from './measure.ts';
import { ACTORS, OPERATIONS, STEPS_PER_OPERATION } from './reference.ts';
import { checked, judged, type Target } from './target.ts';

/** Number of operations that each actor has left. */
type Model = number[];
/** Performs the next operation of an actor. */
type Real = (actor: number) => Promise<void>;

class Next implements fc.AsyncCommand<Model, Real> {
  private readonly actor: number;

  constructor(actor: number) {
    this.actor = actor;
  }

  check(left: Readonly<Model>): boolean {
    return (left[this.actor] ?? 0) > 0;
  }

  run(left: Model, next: Real): Promise<void> {
    left[this.actor] = (left[this.actor] ?? 0) - 1;
    return next(this.actor);
  }

  toString(): string {
    return `next(${this.actor})`;
  }
}

/** Twice the number of operations: on average, half as many commands are drawn. */
const MAX_COMMANDS = 2 * ACTORS * OPERATIONS;

const commands = (): fc.Arbitrary<Iterable<fc.AsyncCommand<Model, Real>>> =>
  fc.commands(
    Array.from({ length: ACTORS }, (_, actor) => fc.constant(new Next(actor))),
    { maxCommands: MAX_COMMANDS, size: 'max' },
  );

const fullModel = (): Model => Array.from({ length: ACTORS }, () => OPERATIONS);

/** Operations of different actors overlap. */
export const scheduledCommands = (target: Target): Contender => ({
  name: 'fc.commands, scheduledModelRun',
  run: (amount, seed) =>
    checked(amount, seed, (count) =>
      fc.asyncProperty(target.programs, fc.scheduler(), commands(), async (scenario, s, cmds) => {
        target.prepare(scenario);
        announceFrom(target.m, 0);
        const operate = async (actor: number): Promise<void> => {
          for (let i = 0; i < STEPS_PER_OPERATION; i++) {
            await s.schedule(Promise.resolve());
            perform(target.m, actor);
          }
        };
        // a command starts its operation and does not wait; those of one actor follow each other
        const last = Array.from({ length: ACTORS }, () => Promise.resolve());
        const next = async (actor: number): Promise<void> => {
          last[actor] = (last[actor] ?? Promise.resolve()).then(() => operate(actor));
        };
        await fc.scheduledModelRun(s, () => ({ model: fullModel(), real: next }), cmds);
        await s.waitFor(Promise.all(last));
        return judged(target, true, count);
      }),
    ),
});

/** Operations run one after the other. */
export const sequentialCommands = (target: Target): Contender => ({
  name: 'fc.commands, asyncModelRun (cannot race)',
  run: (amount, seed) =>
    checked(amount, seed, (count) =>
      fc.asyncProperty(target.programs, commands(), async (scenario, cmds) => {
        target.prepare(scenario);
        announceFrom(target.m, 0);
        const next = async (actor: number): Promise<void> => {
          for (let i = 0; i < STEPS_PER_OPERATION; i++) perform(target.m, actor);
        };
        await fc.asyncModelRun(() => ({ model: fullModel(), real: next }), cmds);
        return judged(target, true, count);
      }),
    ),
});
