/**
 * The types of a history and of the specification that judges it. Nothing here depends on what the
 * operations are: a register, a key-value store and the TDX module are three of many
 * specifications.
 */

/** An operation as observed from outside. Times have any unit; only their order counts. */
export interface Timed {
  readonly invoked: number;
  /** At least `invoked`. `Infinity`: it never returned, and may have taken effect or not. */
  readonly returned: number;
}

/**
 * A sequential specification: the results that an operation may have in each state.
 *
 * `Op` is an operation together with its recorded result. Every method must be a pure function of
 * its arguments, and a state must never be changed once it was handed out.
 */
export interface Specification<State, Op extends Timed> {
  readonly initial: State;
  /**
   * Calls `allow` with each state to which the operation, with its result, may lead from `state`.
   * If it calls it with none, the operation is refused there.
   */
  step(state: State, op: Op, allow: (next: State) => void): void;
  /** Why `op` is refused in `state`, and what would have been allowed. Called for reports only. */
  refusal(state: State, op: Op): string;
  /** Key that distinguishes states; the state itself if absent. */
  key?(state: State): string | number | null;
  /**
   * Whether the operation, with its result, leaves every state unchanged in which it is allowed.
   * Absent: unknown. This makes the search faster and does not change its verdict.
   */
  silent?(op: Op): boolean;
  /** Operations of different partitions do not interact (default: one partition). */
  partition?(op: Op): string | number;
  /** Why a history must not end in `state`, or null if it may. Absent: it may end in any state. */
  final?(state: State): string | null;
}

/** Limits of a search; past them the answer is `unknown`, never a guess. */
export interface Limits {
  /** Steps of the search. */
  readonly steps: number;
  /** Configurations that are remembered: each takes 8 bytes, and one bit for each operation. */
  readonly memory: number;
  /** Called now and then; true ends the search. For callers that have a clock. */
  readonly expired?: () => boolean;
}

export const DEFAULT_LIMITS: Limits = { steps: 50_000_000, memory: 4_000_000 };

/** The part of a history that no order explains. */
export interface Unexplained<Op> {
  /** The operation at whose return no order is left; null if only the final state is wrong. */
  readonly op: Op | null;
  /**
   * Why `op`, or the end, is refused in each state to which the earlier operations may have led;
   * without repeats.
   */
  readonly refusals: readonly string[];
  /**
   * The shortest prefix that cannot be explained: every operation that began before `op` returned,
   * in the order of beginning. Pending ones count with their later results.
   */
  readonly prefix: readonly Op[];
}

/** Result of a check. */
export type Outcome<Op> =
  | {
      readonly verdict: 'explained';
      /** An order that explains the history. */
      readonly order: readonly Op[];
    }
  | { readonly verdict: 'unexplained'; readonly failure: Unexplained<Op> }
  | {
      readonly verdict: 'unknown';
      /** The limit that was reached. */
      readonly why: string;
    };
