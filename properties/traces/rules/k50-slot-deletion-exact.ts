import { valuesOf, type Change } from '../state/change.ts';
import { isPresent, LEAF, pagesAt } from '../state/spte.ts';
import { nameOfKey } from '../tdx/td.ts';
import { leafIn, onMirror } from './mirror.ts';
import type { TraceRule } from './rule.ts';

/** A change that reaches out of a range. */
const isOutside = (c: Change, start: number, end: number): boolean =>
  c.gfn < start || c.gfn + pagesAt(c.level) > end;

const K50: TraceRule = {
  id: 'K50',
  needs: ['chg', 'slot', 'slot_ret'],
  watch: (world, report, { tds }) => {
    onMirror(tds, (c, td) => {
      if (c.oldKind !== LEAF || isPresent(c.newKind)) return;
      const slot = td.slots.find(({ task, over }) => task === c.task && !over);
      if (slot === undefined || !isOutside(c, slot.start, slot.end)) return;
      report.violated(
        c,
        `a leaf of another memslot goes with the one that is deleted: ${valuesOf(c)}`,
      );
    });
    world.on('slot_ret', (e, task) => {
      for (const td of tds.all()) {
        const slot = td.slots.findLast((each) => each.task === task);
        if (slot === undefined) continue;
        report.exercised(td.vm);
        const left = leafIn(tds, td, slot.start, slot.end);
        if (left === null) continue;
        report.violated(
          { line: e.line, task, vm: td.vm },
          `the memslot is gone, and the mirror still maps ${nameOfKey(left)}`,
        );
      }
    });
  },
};

export default K50 satisfies TraceRule;
