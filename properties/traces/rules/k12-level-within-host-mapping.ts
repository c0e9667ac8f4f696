import { valuesOf } from '../state/change.ts';
import { frameOf, has, isPresent, LEAF, LEAF_LEVEL, pagesAt } from '../state/spte.ts';
import type { Vm } from '../state/vm.ts';
import { onChange } from './change-rule.ts';
import type { Suspect } from './huge-leaves.ts';
import type { TraceRule } from './rule.ts';

const ALIGNED = onChange(
  'K12',
  (c) => isPresent(c.newKind) || isPresent(c.oldKind),
  (c) => {
    if (c.gfn % pagesAt(c.level) !== 0) return 'the GFN is not the first of an entry of that level';
    return c.newKind === LEAF && frameOf(c.newHi, c.newLo) % pagesAt(c.level) !== 0
      ? 'the page is not aligned for its level'
      : null;
  },
);

const PLACE = onChange(
  'K12',
  ({ table }) => table !== null,
  ({ table, level, gfn }) => {
    if (table === null) return null;
    if (table.level !== level) return `a table of level ${table.level} has an entry of another`;
    return Number.isNaN(table.base) || table.covers(gfn) ? null : 'the GFN is not of that table';
  },
  true,
);

/**
 * Whether such pages are forbidden the trace does not say. They are when one is mapped without
 * leave to execute; and who changes that takes all roots away. So one that is let through between
 * two that are not was wrong.
 */
const NX: TraceRule = {
  id: 'K12',
  needs: ['map', 'chg', 'zap_inval'],
  watch: (world, report) => {
    const forbidden = new Map<Vm, Suspect[]>();
    world.on('inval_roots', (e, task) => forbidden.delete(world.vmOf(e, task)));
    // where no event shows it, it is that they are zapped
    world.on('zap_inval', (e, task) => {
      if (!world.hasSeen('inval_roots')) forbidden.delete(world.vmOf(e, task));
    });
    world.listeners.forgetting.push(() => forbidden.clear());
    world.listeners.changing.push((c) => {
      const layout = world.kernel?.layout;
      if (
        layout === undefined ||
        c.newKind !== LEAF ||
        c.level === LEAF_LEVEL ||
        c.task.mapLine === 0
      )
        return;
      const suspects = forbidden.get(c.vm);
      // what is to be executed is granted by a bit that is absent: NX
      if (has(layout.granted.executable, c.newHi, c.newLo)) {
        for (const suspect of suspects ?? [])
          report.violated({ ...suspect, vm: c.vm }, suspect.seen);
        forbidden.set(c.vm, []);
      } else
        suspects?.push({
          line: c.line,
          text: world.e.text(),
          task: c.task,
          seen: `a page above level 1 may be executed, while others may not: ${valuesOf(c)}`,
        });
    });
  },
};

export default [ALIGNED, PLACE, NX] satisfies readonly TraceRule[];
