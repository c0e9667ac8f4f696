/**
 * The same actors, driven by `fc.commands`: a command makes one actor perform its next operation. Under
 * `scheduledModelRun` operations of different actors overlap; `asyncModelRun` runs one after the other and cannot race.
 */
import fc from 'fast-check';
import { announceFrom, perform } from '../../spec/machine/run.ts';
import type { Engine } from '../../properties/engine.ts';
import type { History } from '../../properties/history.ts';
import type { Contender } from './measure.ts';
import { ACTORS, OPERATIONS, STEPS_PER_OPERATION } from './reference.ts';
import { checked, holds } from './schedulers.ts';

/** Operations that each actor has left. */
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

/** Twice as many as there are operations: half of that are drawn on average, and some find their actor at its end. */
const MAX_COMMANDS = 2 * ACTORS * OPERATIONS;

const commands = (): fc.Arbitrary<Iterable<fc.AsyncCommand<Model, Real>>> =>
  fc.commands(Array.from({ length: ACTORS }, (_, actor) => fc.constant(new Next(actor))),
    { maxCommands: MAX_COMMANDS, size: 'max' });

const fullModel = (): Model => Array.from({ length: ACTORS }, () => OPERATIONS);

export const commandContenders = (engine: Engine, arbitrary: fc.Arbitrary<History>): Contender[] => {
  const { m } = engine.vm;
  const begin = (history: History): void => {
    engine.prepare(history);
    announceFrom(m, 0);
  };
  return [
    {
      name: 'fc.commands, scheduledModelRun',
      run: (amount, seed) => checked(engine, amount, seed,
        fc.asyncProperty(arbitrary, fc.scheduler(), commands(), async (history, s, cmds) => {
          begin(history);
          const last: Promise<void>[] = Array.from({ length: ACTORS }, () => Promise.resolve());
          const operate = async (actor: number): Promise<void> => {
            for (let i = 0; i < STEPS_PER_OPERATION; i++) {
              await s.schedule(Promise.resolve());
              perform(m, actor);
            }
          };
          // a command starts its operation and does not wait for it; operations of one actor follow each other
          const next = async (actor: number): Promise<void> => {
            last[actor] = (last[actor] ?? Promise.resolve()).then(() => operate(actor));
          };
          await fc.scheduledModelRun(s, () => ({ model: fullModel(), real: next }), cmds);
          await s.waitFor(Promise.all(last));
          return holds(engine, true);
        })),
    },
    {
      name: 'fc.commands, asyncModelRun (cannot race)',
      run: (amount, seed) => checked(engine, amount, seed,
        fc.asyncProperty(arbitrary, commands(), async (history, cmds) => {
          begin(history);
          const next = async (actor: number): Promise<void> => {
            for (let i = 0; i < STEPS_PER_OPERATION; i++) perform(m, actor);
          };
          await fc.asyncModelRun(() => ({ model: fullModel(), real: next }), cmds);
          return holds(engine, true);
        })),
    },
  ];
};
