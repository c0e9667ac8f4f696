/** Two calls on TD 0, set up as pair recordings are, and what the specification makes of them. */
import { Measured } from '../../../../properties/module/recordings/conflicts/measure.ts';
import { Names } from '../../../../properties/module/recordings/conflicts/names.ts';
import { setPair } from '../../../../properties/module/recordings/setups/pairs.ts';
import type { Scene } from '../../../../properties/module/recordings/setups/scene.ts';
import type { Stage } from '../../../../properties/module/recordings/setups/setups.ts';

export interface PairOfCalls {
  readonly x: string;
  readonly y: string;
  /** X's; also Y's, unless that is said. */
  readonly entry: string;
  readonly yEntry?: string;
  /** `sameEntry` unless said. */
  readonly relation?: string;
  /** RUNNABLE unless said. */
  readonly opState?: string;
}

/** Shows a pair to `look`; the stage is afterwards as before. */
export function withPair<T>(
  stage: Stage,
  { x, y, entry, yEntry, relation, opState }: PairOfCalls,
  look: (measured: Measured, scene: Scene) => T,
): T {
  const mark = stage.mark();
  try {
    const scene = setPair(stage, {
      recorder: 'stepwise',
      x,
      y,
      relation: relation ?? 'sameEntry',
      opState: opState ?? 'RUNNABLE',
      xEntry: entry,
      yEntry: yEntry ?? entry,
    });
    return look(new Measured(scene, new Names(stage.u)), scene);
  } finally {
    stage.undo(mark);
  }
}
