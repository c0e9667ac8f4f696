/** Rules about single changes of SPTEs, independent of earlier changes. */
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { EventName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { frameOf } from '../state/spte.ts';
import type { World } from '../state/world.ts';
import type { TraceReporter, TraceRule } from './rule.ts';

/** `probe`: the rule needs the probe of changes. `place`: and where the table is (`init_sp`). */
type Needs = 'tracepoint' | 'probe' | 'place';

/**
 * Reports each change that satisfies `premise` and for which `wrong` returns a text. A rule about
 * the values of a change alone is judged from KVM's own tracepoint as well.
 */
export function changeRule(
  id: string,
  premise: (c: Change) => boolean,
  wrong: (c: Change, layout: SpteLayout) => string | null,
  needs: Needs = 'tracepoint',
): TraceRule {
  const watch = (world: World, report: TraceReporter): void => {
    world.listeners.changing.push((c) => {
      if (world.kernel === null || !premise(c)) return;
      report.exercised(c.vm);
      const what = wrong(c, world.kernel.layout);
      if (what === null) return;
      const unless: EventName[] = needs === 'place' && world.kernel.namesTables ? ['init_sp'] : [];
      report.violated({ line: c.line, task: c.task, vm: c.vm, unless }, `${what}: ${valuesOf(c)}`);
    });
  };
  return needs === 'tracepoint'
    ? { id, needs: [], needsOne: ['chg', 'kvm_tdp_mmu_spte_changed'], watch }
    : { id, needs: ['chg'], watch };
}

/** The entry points to the same page before and after the change. */
export const keepsFrame = (c: Change): boolean =>
  frameOf(c.oldHi, c.oldLo) === frameOf(c.newHi, c.newLo);
