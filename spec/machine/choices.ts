/**
 * The one source of nondeterminism. Random, preemption-bounded, exhaustive and replayed runs differ
 * only in their `Choices`; no other code depends on which kind of run it is.
 */
export interface Choices {
  /**
   * Chooses one of `n` options (`n >= 2`). Option 0 is the ordinary one: the running actor stays,
   * no interrupt is pending, the allocation succeeds. `actor` is the actor that asks and `at` the
   * number of steps that it has taken: a choice that is named by both survives when a shrinker
   * drops other operations.
   */
  pick(n: number, actor: number, at: number, what: What): number;

  /**
   * Whether the running actor, which is enabled, continues whichever others are enabled. The
   * scheduler then skips {@link pick}, which would have returned 0. Absent: always ask.
   */
  stays?(actor: number, at: number): boolean;
}

/** Subject of a choice: the actor that steps next, or an outcome for the actor that asks. */
export const SWITCH = 0;
export const OUTCOME = 1;
export type What = typeof SWITCH | typeof OUTCOME;

/** Makes every choice the ordinary one: each actor runs until it blocks or ends. */
export const ORDINARY: Choices = { pick: () => 0, stays: () => true };
