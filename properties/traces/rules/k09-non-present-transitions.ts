import { valuesOf } from '../state/change.ts';
import { FROZEN, isPresent, MMIO } from '../state/spte.ts';
import { onChange } from './change-rule.ts';
import type { TraceRule } from './rule.ts';

const K9 = onChange(
  'K9',
  (c) => !isPresent(c.oldKind) && !isPresent(c.newKind),
  (c) =>
    c.newKind === FROZEN || c.oldKind === MMIO || c.newKind === MMIO || c.oldKind === FROZEN
      ? null
      : 'nothing became nothing',
);

/** Only a fault can find that there is no memory. */
const K9_MMIO: TraceRule = {
  id: 'K9',
  needs: ['chg', 'map', 'map_ret'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.newKind !== MMIO || c.fit === 'late') return;
      report.exercised(c.vm);
      // whose lock was not seen to be acquired may be in a fault since before
      if (c.task.mapLine > 0 || c.task.holdOn(c.vm.id) === null) return;
      report.violated(c, `an entry became MMIO, and no fault is being handled: ${valuesOf(c)}`);
    });
  },
};

export default [K9, K9_MMIO] satisfies readonly TraceRule[];
