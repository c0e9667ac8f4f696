/** K9 in a trace: changes between entries that are not present, and where MMIO comes from. */
import { valuesOf } from '../state/change.ts';
import { FROZEN, isPresent, MMIO } from '../state/spte.ts';
import { changeRule } from './change-rule.ts';
import type { TraceRule } from './rule.ts';

const NON_PRESENT = changeRule(
  'K9',
  (c) => !isPresent(c.oldKind) && !isPresent(c.newKind),
  (c) =>
    c.newKind === FROZEN || c.oldKind === MMIO || c.newKind === MMIO || c.oldKind === FROZEN
      ? null
      : 'an empty entry is rewritten as empty',
);

/** Only a fault can find that a GFN has no memslot. */
const MMIO_BY_FAULT: TraceRule = {
  id: 'K9',
  needs: ['chg', 'map', 'map_ret'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.newKind !== MMIO || c.fit === 'late') return;
      report.exercised(c.vm);
      // a task without a hold may have begun its fault before the trace
      if (c.task.mapLine > 0 || c.task.holdOn(c.vm.id) === null) return;
      report.violated(c, `an entry becomes MMIO outside a page fault: ${valuesOf(c)}`);
    });
  },
};

export default [NON_PRESENT, MMIO_BY_FAULT] satisfies readonly TraceRule[];
