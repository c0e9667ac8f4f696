/** Rules about single changes of SPTEs, independent of earlier changes. */
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { EventName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { frameOf } from '../state/spte.ts';
import type { World } from '../state/world.ts';
import type { TraceReporter, TraceRule } from './rule.ts';

/**
 * Reports each change that satisfies `premise` and for which `wrong` returns a text. `named`: the
 * rule depends on the place of the table, which `init_sp` shows if tables have names.
 */
export function changeRule(
  id: string,
  premise: (c: Change) => boolean,
  wrong: (c: Change, layout: SpteLayout) => string | null,
  named = false,
): TraceRule {
  const watch = (world: World, report: TraceReporter): void => {
    world.listeners.changing.push((c) => {
      if (world.kernel === null || !premise(c)) return;
      report.exercised(c.vm);
      const what = wrong(c, world.kernel.layout);
      if (what === null) return;
      const unless: EventName[] = named && world.kernel.namesTables ? ['init_sp'] : [];
      report.violated({ line: c.line, task: c.task, vm: c.vm, unless }, `${what}: ${valuesOf(c)}`);
    });
  };
  return { id, needs: ['chg'], watch };
}

/** The entry points to the same page before and after the change. */
export const keepsFrame = (c: Change): boolean =>
  frameOf(c.oldHi, c.oldLo) === frameOf(c.newHi, c.newLo);
