/**
 * What a history is judged by, and what it consists of. Nothing here knows what the operations are
 * about: a register, a key-value store and the TDX module are three of many specifications.
 */

/** An operation as it was seen from outside. Times are of any unit; only their order counts. */
export interface Timed {
  readonly invoked: number;
  /** Not before `invoked`. `Infinity`: it never returned, so it may have taken effect or not. */
  readonly returned: number;
}

/**
 * A sequential specification: which results an operation may have in which state.
 *
 * `Op` is an operation together with its recorded result. Every method must be a pure function of
 * its arguments, and a state must never be changed once it was handed out.
 */
export interface Specification<State, Op extends Timed> {
  readonly initial: State;
  /**
   * Hands `allow` each state in which the operation, with the result that it has, may leave
   * `state`. When it hands over none the operation is refused there.
   */
  step(state: State, op: Op, allow: (next: State) => void): void;
  /** Why `op` is refused in `state`, and what would have been allowed. Asked for reports only. */
  refusal(state: State, op: Op): string;
  /** What tells states apart; the state itself when absent. */
  key?(state: State): string | number | null;
  /**
   * Does the operation, with the result that it has, leave every state as it is in which it is
   * allowed? Absent: none is known to. The search is quicker for knowing, and would come to the
   * same verdict without.
   */
  silent?(op: Op): boolean;
  /** Operations of different partitions do not interact. Absent: all of them may. */
  partition?(op: Op): string | number;
  /** Why a history must not end in `state`, or null when it may. Absent: it may end anywhere. */
  final?(state: State): string | null;
}

/** How much a search may take; past that the answer is `unknown`, never a guess. */
export interface Limits {
  /** Steps of the search. */
  readonly steps: number;
  /** Configurations that are remembered: each takes 8 bytes, and one bit for each operation. */
  readonly memory: number;
  /** Asked every now and then; true ends the search. For callers that have a clock. */
  readonly expired?: () => boolean;
}

export const DEFAULT_LIMITS: Limits = { steps: 50_000_000, memory: 4_000_000 };

/** The part of a history that nothing explains. */
export interface Unexplained<Op> {
  /** The operation by whose return the trouble shows; null when only the final state is wrong. */
  readonly op: Op | null;
  /**
   * Why `op` is refused, or the end is, in each state that the operations before may have led to;
   * without repeats.
   */
  readonly refusals: readonly string[];
  /**
   * The shortest prefix that cannot be explained: every operation that began before `op` returned,
   * in the order of beginning. Those still under way count with the result they had later.
   */
  readonly prefix: readonly Op[];
}

/** What a check comes to. */
export type Outcome<Op> =
  | {
      readonly verdict: 'explained';
      /** An order that explains the history. */ readonly order: readonly Op[];
    }
  | { readonly verdict: 'unexplained'; readonly failure: Unexplained<Op> }
  | { readonly verdict: 'unknown'; /** Which limit was met. */ readonly why: string };
