/** What the bench compares: a machine on which scenarios run, under any engine or scheduler. */
import fc from 'fast-check';
import type { Engine } from '../../properties/checker/engine.ts';
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';
import type { Machine } from '../../spec/machine/machine.ts';
import type { Violation } from '../../spec/machine/rule.ts';
import type { Contender, Work } from './measure.ts';

export interface Target {
  readonly m: Machine;
  /** Programs with the schedules that this engine follows. */
  readonly scheduled: fc.Arbitrary<Scenario>;
  /** Programs alone, for schedulers that make their own schedules. */
  readonly programs: fc.Arbitrary<Scenario>;
  /** Runs a scenario under this engine. */
  run(scenario: Scenario): Violation | null;
  /** Resets the machine and adds the actors of a scenario, for another scheduler to step. */
  prepare(scenario: Scenario): void;
  /** Every actor has ended: the rules check the final state. */
  atRest(): void;
}

/** An engine, which must not destroy its VM, as a target: all contenders run the same scenarios. */
export const targetOf = (engine: Engine, scenarios: fc.Arbitrary<Scenario>): Target => ({
  m: engine.vm.m,
  scheduled: scenarios,
  programs: scenarios,
  run: (scenario) => engine.run(scenario),
  prepare: (scenario) => engine.prepare(scenario),
  atRest: () => engine.book.atRest(),
});

export const THIS_ENGINE = 'this engine';

/** This engine in the loop of fc.check, as properties/checker/check.ts runs it. */
export const engineContender = (target: Target): Contender => ({
  name: THIS_ENGINE,
  run: (amount, seed) =>
    checked(amount, seed, (count) =>
      fc.property(target.scheduled, (scenario) => {
        const violation = target.run(scenario);
        count(target.m.now);
        return violation === null;
      }),
    ),
});

/** The verdict on a run of another scheduler: every actor has ended, and no rule is broken. */
export function judged(target: Target, ended: boolean, count: (steps: number) => void): boolean {
  if (ended) target.atRest();
  count(target.m.now);
  return ended && target.m.violation === null;
}

/** Runs a property that must hold in every run. @throws Error if it does not */
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
