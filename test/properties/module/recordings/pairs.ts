/** Runs two calls on TD 0, set up as in pair recordings. */
import { PairMeasurement } from '../../../../properties/module/recordings/conflicts/measurement.ts';
import { RecordedNames } from '../../../../properties/module/recordings/conflicts/recorded-names.ts';
import type { PairSetup } from '../../../../properties/module/recordings/setups/pair-setup.ts';
import { setUpPair } from '../../../../properties/module/recordings/setups/pairs.ts';
import type { Testbed } from '../../../../properties/module/recordings/setups/testbed.ts';

export interface PairOfCalls {
  readonly x: string;
  readonly y: string;
  /** X's entry. */
  readonly entry: string;
  /** Default: X's. */
  readonly yEntry?: string;
  /** Default: `sameEntry`. */
  readonly relation?: string;
  /** Default: RUNNABLE. */
  readonly opState?: string;
}

/** Passes a pair to `look`, and undoes its writes afterwards. */
export function withPair<T>(
  testbed: Testbed,
  { x, y, entry, yEntry, relation, opState }: PairOfCalls,
  look: (measured: PairMeasurement, setup: PairSetup) => T,
): T {
  const mark = testbed.mark();
  try {
    const setup = setUpPair(testbed, {
      recorder: 'stepwise',
      x,
      y,
      relation: relation ?? 'sameEntry',
      opState: opState ?? 'RUNNABLE',
      xEntry: entry,
      yEntry: yEntry ?? entry,
    });
    return look(new PairMeasurement(setup, new RecordedNames(testbed.u)), setup);
  } finally {
    testbed.undo(mark);
  }
}
