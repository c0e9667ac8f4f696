/**
 * Two calls on one entry of TD 0, set up as pair recordings are, and what the specification makes of them.
 */
import { Measured } from '../../properties/recordings/conflicts-measure.ts';
import { Names } from '../../properties/recordings/conflicts-names.ts';
import { setPair } from '../../properties/recordings/setups-pairs.ts';
import type { Stage } from '../../properties/recordings/setups.ts';

export interface OnOneEntry {
  readonly x: string;
  readonly y: string;
  readonly entry: string;
  readonly opState?: string;
}

/** Shows a pair to `look`; the stage is afterwards as before. */
export function withPair<T>(stage: Stage, { x, y, entry, opState }: OnOneEntry, look: (measured: Measured) => T): T {
  const mark = stage.mark();
  const scene = setPair(stage, {
    recorder: 'stepwise', x, y, relation: 'sameEntry', opState: opState ?? 'RUNNABLE', xEntry: entry, yEntry: entry,
  });
  const seen = look(new Measured(scene, new Names(stage.u)));
  stage.undo(mark);
  return seen;
}
