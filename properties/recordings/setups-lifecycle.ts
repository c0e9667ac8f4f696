import type { LifecycleCell } from './conflicts-format.ts';
import type { Scene } from './setups-scene.ts';
import { SetupError, type Stage } from './setups.ts';
export function setLifecyclePair(stage: Stage, cell: LifecycleCell): Scene {
  throw new SetupError('not yet ' + cell.x + stage.mark());
}
