/**
 * The one source of nondeterminism. Random, preemption-bounded, exhaustive and replayed runs differ
 * only in the `Choices` they are given; nothing else in the house knows which of them is at work.
 */
export interface Choices {
  /**
   * Chooses one of `n` options (`n >= 2`). Option 0 is the ordinary one: the running actor stays,
   * no interrupt is pending, the allocation succeeds. `actor` is on whose behalf, `at` is how many
   * steps that actor has taken, so that a choice can be named in the program's terms and survives
   * when other operations are dropped.
   */
  pick(n: number, actor: number, at: number, what: What): number;

  /**
   * Whether the running actor, which could go on, does so whatever the others could do. Then nobody
   * counts them, and {@link pick}, which would have answered 0, is not asked. Absent: always ask.
   */
  stays?(actor: number, at: number): boolean;
}

/** What is being chosen: which actor steps next, or how something turns out for the actor that asks. */
export const SWITCH = 0;
export const OUTCOME = 1;
export type What = typeof SWITCH | typeof OUTCOME;

/** Every choice is the ordinary one: each actor runs until it blocks or ends. */
export const ORDINARY: Choices = { pick: () => 0, stays: () => true };
