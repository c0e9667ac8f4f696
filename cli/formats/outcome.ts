/** What `--format` prints: one outcome a rule, of one subject. */

/** `skipped`: the rule was not judged. */
export type Ending = 'passed' | 'failed' | 'skipped';

export interface Outcome {
  /** Id of the rule. */
  readonly name: string;
  readonly ending: Ending;
  /** Why it was skipped, or the rule's statement where it failed, in one line. */
  readonly note: string;
  /** Lines that explain a failure. */
  readonly details: readonly string[];
}

/** The outcomes of a policy or of a trace. */
export interface Suite {
  /** The command line that gave them, without options that do not matter. */
  readonly title: string;
  readonly outcomes: readonly Outcome[];
  /** Lines about the suite: budgets, seeds, what was not covered. */
  readonly notes: readonly string[];
}

/** Number of outcomes with that ending. */
export const countOf = ({ outcomes }: Suite, ending: Ending): number =>
  outcomes.filter((outcome) => outcome.ending === ending).length;
