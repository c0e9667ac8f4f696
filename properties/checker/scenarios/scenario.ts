/**
 * A scenario determines a run: a program (the operations of each actor) and a schedule (the
 * deviations from the default). By default an actor runs until it blocks or ends.
 *
 * Counterexamples are therefore short and stable: a deviation names its operation and its step in
 * it, so that dropping another operation does not move it.
 */
import { DEFAULT_TREE, isSameTree, type Tree } from '../../../impl/vm/size.ts';
import type { VmKind } from '../../../impl/vm/vm.ts';

/** A request to the guest or to the policy: on `pages` pages from `gfn` on. */
export interface Operation {
  readonly name: string;
  readonly gfn: number;
  readonly pages: number;
  /** Level of the entry that it is about, 1 (2M) when absent; `remove-table` only. */
  readonly level?: number;
}

/** The operation that can be about an entry of any level but the lowest. */
export const REMOVE_TABLE = 'remove-table';

/** The operation about the entry of its GFN at `level`. */
export const atLevel = ({ name, gfn, pages }: Operation, level: number): Operation =>
  level === 1 ? { name, gfn, pages } : { name, gfn, pages, level };

/** Kinds of actors: vCPUs and host threads. */
export type ActorRole = 'vcpu' | 'host';

/** Operations of one actor. */
export interface ActorProgram {
  readonly role: ActorRole;
  readonly operations: readonly Operation[];
}

/**
 * Departs from the default at step `step` of operation `operation` of actor `actor`. `switch`: the
 * `value`-th other enabled actor runs next. `outcome`: from that step on, the next `value`
 * nondeterministic choices of the operation take the outcome that is not the default (an interrupt
 * is pending, an allocation fails, a reschedule is due).
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
  /** The kind of VM that it runs. */
  readonly vm: VmKind;
  /** The tree of the VM's page tables; the default when absent. */
  readonly tree?: Tree;
  readonly actors: readonly ActorProgram[];
  readonly deviations: readonly Deviation[];
}

/** The VM that a scenario runs on, as options of an engine. */
export const vmOf = ({ vm, tree = DEFAULT_TREE }: Scenario): { kind: VmKind; tree: Tree } => ({
  kind: vm,
  tree,
});

/** The scenario on a VM with another tree. */
export const inTree = ({ vm, actors, deviations }: Scenario, tree: Tree): Scenario =>
  isSameTree(tree, DEFAULT_TREE) ? { vm, actors, deviations } : { vm, tree, actors, deviations };

/** An actor's name by role and number: `v0`, `v1`, `h0`; `x0`, `x1` for those that a run starts. */
export function actorName(scenario: Scenario, index: number): string {
  const actor = scenario.actors[index];
  if (actor === undefined) return `x${index - scenario.actors.length}`;
  const before = scenario.actors.slice(0, index).filter((a) => a.role === actor.role).length;
  return `${actor.role === 'vcpu' ? 'v' : 'h'}${before}`;
}
