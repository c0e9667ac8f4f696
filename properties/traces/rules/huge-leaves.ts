/** Huge leaves that faults install, and that a later event may prove wrong: K12 and K24. */
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { LEAF, LEAF_LEVEL } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { World } from '../state/world.ts';

/** A violation, provided that a later event confirms it. */
export interface Suspect {
  readonly line: number;
  readonly text: string;
  readonly task: Task;
  readonly seen: string;
}

/** The present change as a suspect; `seen` says what is wrong with it. */
export const suspectOf = ({ e }: World, c: Change, seen: string): Suspect => ({
  line: c.line,
  text: e.text(),
  task: c.task,
  seen: `${seen}: ${valuesOf(c)}`,
});

/** Calls `listener` for each leaf above 4K that a fault installs. */
export function onHugeLeaf(world: World, listener: (c: Change, layout: SpteLayout) => void): void {
  world.listeners.changing.push((c) => {
    const layout = world.kernel?.layout;
    if (layout === undefined || c.newKind !== LEAF) return;
    if (c.level !== LEAF_LEVEL && c.task.mapLine !== 0) listener(c, layout);
  });
}
