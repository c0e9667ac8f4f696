/** K50 in a trace: leaves of the mirror that the deletion of a memslot zaps, and leaves behind. */
import { valuesOf, type Change } from '../state/change.ts';
import { isPresent, LEAF, pagesAt } from '../state/spte.ts';
import { nameOfKey } from '../tdx/td.ts';
import { mirrorLeafIn, onMirrorChange } from './mirror.ts';
import type { TraceRule } from './rule.ts';

/** The changed entry maps a GFN outside a range. */
const isOutside = (c: Change, start: number, end: number): boolean =>
  c.gfn < start || c.gfn + pagesAt(c.level) > end;

const rule: TraceRule = {
  id: 'K50',
  needs: ['chg', 'slot', 'slot_ret'],
  watch: (world, report, { tds }) => {
    onMirrorChange(tds, (c, td) => {
      if (c.oldKind !== LEAF || isPresent(c.newKind)) return;
      const slot = td.slots.find(({ task, over }) => task === c.task && !over);
      if (slot === undefined || !isOutside(c, slot.start, slot.end)) return;
      report.violated(
        c,
        `zaps a leaf of another memslot than the one being deleted: ${valuesOf(c)}`,
      );
    });
    world.on('slot_ret', (e, task) => {
      for (const td of tds.all()) {
        const slot = td.slots.findLast((each) => each.task === task);
        if (slot === undefined) continue;
        report.exercised(td.vm);
        const left = mirrorLeafIn(tds, td, slot.start, slot.end);
        if (left === null) continue;
        report.violated(
          { line: e.line, task, vm: td.vm },
          `ends the deletion of a memslot while the mirror still maps ${nameOfKey(left)}`,
        );
      }
    });
  },
};

export default rule;
