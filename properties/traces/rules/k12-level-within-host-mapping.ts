/** K12 in a trace: alignment and level of entries, and huge leaves that the guest may execute. */
import { frameOf, has, isPresent, LEAF, pagesAt } from '../state/spte.ts';
import type { Vm } from '../state/vm.ts';
import { changeRule } from './change-rule.ts';
import { onHugeLeaf, suspectOf, type Suspect } from './huge-leaves.ts';
import type { TraceRule } from './rule.ts';
import { entrySize } from './tables.ts';

const ALIGNED = changeRule(
  'K12',
  (c) => isPresent(c.newKind) || isPresent(c.oldKind),
  (c) => {
    if (c.gfn % pagesAt(c.level) !== 0) return 'the GFN is not aligned to the size of its entry';
    return c.newKind === LEAF && frameOf(c.newHi, c.newLo) % pagesAt(c.level) !== 0
      ? 'the page is not aligned to the size of its leaf'
      : null;
  },
);

const WITHIN_TABLE = changeRule(
  'K12',
  ({ table }) => table !== null,
  ({ table, level, gfn }) => {
    if (table === null) return null;
    if (table.level !== level)
      return `a table of ${entrySize(table)} entries has an entry of another size`;
    return Number.isNaN(table.base) || table.covers(gfn)
      ? null
      : 'the GFN is outside the range of the table';
  },
  'place',
);

/**
 * A trace does not show whether executable huge pages are forbidden. They are when a fault installs
 * one without permission to execute, and a change of that zaps all roots. So an executable one
 * between two others is wrong.
 */
const NX: TraceRule = {
  id: 'K12',
  needs: ['map', 'chg', 'zap_inval'],
  watch: (world, report) => {
    const forbidden = new Map<Vm, Suspect[]>();
    world.on('inval_roots', (e, task) => forbidden.delete(world.vmOf(e, task)));
    // without an event that makes roots invalid, the zap of the invalid roots
    world.on('zap_inval', (e, task) => {
      if (!world.hasSeen('inval_roots')) forbidden.delete(world.vmOf(e, task));
    });
    world.listeners.forgetting.push(() => forbidden.clear());
    onHugeLeaf(world, (c, layout) => {
      const suspects = forbidden.get(c.vm);
      // the bit is NX: if it is set, the guest may not execute the page
      if (has(layout.granted.executable, c.newHi, c.newLo)) {
        for (const suspect of suspects ?? [])
          report.violated({ ...suspect, vm: c.vm }, suspect.seen);
        forbidden.set(c.vm, []);
      } else
        suspects?.push(
          suspectOf(world, c, 'a huge page becomes executable while others are mapped NX'),
        );
    });
  },
};

export default [ALIGNED, WITHIN_TABLE, NX] satisfies readonly TraceRule[];
