/**
 * What is compared: something that histories run on, under our engine or under somebody else's
 * scheduler.
 */
import fc from 'fast-check';
import type { Engine } from '../../properties/checker/engine.ts';
import type { History } from '../../properties/checker/scenarios/scenario.ts';
import type { Machine } from '../../spec/machine/machine.ts';
import type { Violation } from '../../spec/machine/rule.ts';
import type { Contender, Work } from './measure.ts';

export interface Stage {
  readonly m: Machine;
  /** Programs with the schedules that our engine follows. */
  readonly scheduled: fc.Arbitrary<History>;
  /** Programs alone, for those who bring schedules of their own. */
  readonly programs: fc.Arbitrary<History>;
  /** Runs a history under our engine. */
  run(history: History): Violation | null;
  /** Resets the machine and gives it the actors of a history, for somebody else to step. */
  prepare(history: History): void;
  /** Every actor has ended: the rules look at what is left. */
  atRest(): void;
}

/**
 * An engine as a stage, on which everybody runs the same histories. It should be one that does not
 * destroy its VM.
 */
export const stageOf = (engine: Engine, histories: fc.Arbitrary<History>): Stage => ({
  m: engine.vm.m,
  scheduled: histories,
  programs: histories,
  run: (history) => engine.run(history),
  prepare: (history) => engine.prepare(history),
  atRest: () => engine.book.atRest(),
});

export const OURS = 'this engine';

/** Our engine in the loop of fc.check, as properties/checker/check.ts runs it. */
export const ourContender = (stage: Stage): Contender => ({
  name: OURS,
  run: (amount, seed) =>
    checked(amount, seed, (count) =>
      fc.property(stage.scheduled, (history) => {
        const violation = stage.run(history);
        count(stage.m.now);
        return violation === null;
      }),
    ),
});

/**
 * The verdict on what somebody else's scheduler has run: every actor has ended, and no rule is
 * broken.
 */
export function judged(stage: Stage, ended: boolean, count: (steps: number) => void): boolean {
  if (ended) stage.atRest();
  count(stage.m.now);
  return ended && stage.m.violation === null;
}

/** Runs a property of which no run may fail. */
export async function checked(
  numRuns: number,
  seed: number,
  make: (count: (steps: number) => void) => fc.IRawProperty<unknown>,
): Promise<Work> {
  let steps = 0;
  const property = make((more) => {
    steps += more;
  });
  const { failed, errorInstance } = await fc.check(property, { numRuns, seed });
  if (failed)
    throw new Error('a run of the bench broke a rule or did not end', { cause: errorInstance });
  return { steps };
}
