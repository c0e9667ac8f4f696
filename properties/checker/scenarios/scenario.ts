/**
 * A scenario is what a run is a function of: a program (who does what) and a schedule (where the
 * ordinary course of things is left). Everything else is decided by the rule "an actor runs until
 * it blocks or ends".
 *
 * That makes a counterexample short to write, short to read, and stable: a deviation names the
 * operation and the step it happens in, so that dropping another operation does not move it.
 */
import type { VmKind } from '../../../impl/vm/vm.ts';

/** What an operation asks for. `gfn` is the first page, `pages` how many. */
export interface Operation {
  readonly name: string;
  readonly gfn: number;
  readonly pages: number;
}

/** Kinds of actors: vCPUs and host threads. */
export type ActorRole = 'vcpu' | 'host';

/** Operations of one actor. */
export interface ActorProgram {
  readonly role: ActorRole;
  readonly operations: readonly Operation[];
}

/**
 * A departure from the ordinary course, at step `step` of operation `operation` of actor `actor`.
 * `switch`: the `value`-th other enabled actor runs next. `outcome`: the next `value` choices of
 * the operation, from that step on, turn out the unusual way (an interrupt is pending, an
 * allocation fails, the scheduler wants the processor).
 */
export interface Deviation {
  readonly actor: number;
  readonly operation: number;
  readonly step: number;
  readonly what: 'switch' | 'outcome';
  readonly value: number;
}

/** A program and a schedule: a run is a function of them. */
export interface Scenario {
  /** The VM that it is about. */
  readonly vm: VmKind;
  readonly actors: readonly ActorProgram[];
  readonly deviations: readonly Deviation[];
}

/**
 * `v0`, `v1`, `h0`: an actor's name, by role and place; actors that the run itself starts are `x0`,
 * `x1`...
 */
export function actorName(scenario: Scenario, index: number): string {
  const actor = scenario.actors[index];
  if (actor === undefined) return `x${index - scenario.actors.length}`;
  const before = scenario.actors.slice(0, index).filter((a) => a.role === actor.role).length;
  return `${actor.role === 'vcpu' ? 'v' : 'h'}${before}`;
}

export const operationCount = (scenario: Scenario): number =>
  scenario.actors.reduce((n, actor) => n + actor.operations.length, 0);
