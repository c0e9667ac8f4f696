/** K13 in a trace: what a table holds when it is linked, and whether it may be linked there. */
import { sizeAt } from '../../../spec/machine/levels.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { frameOf, TABLE } from '../state/spte.ts';
import { PREFILLED, type Table } from '../state/table.ts';
import type { World } from '../state/world.ts';
import { brokenChainRule } from './broken-chains.ts';
import { gfnText } from './gfns.ts';
import type { TraceRule } from './rule.ts';
import { entrySize, unlinkedAt, whereOf } from './tables.ts';

const SPLIT = brokenChainRule('K13', (c) => c.known === PREFILLED);

/** Why `child` may not be linked; null if it may, or if the trace does not show it. */
function whyNotToLink(world: World, c: Change, child: Table | undefined): string | null {
  const named = world.kernel?.namesTables === true;
  if (child === undefined) {
    return named && ((c.table?.initialisedLine ?? 0) > 0 || c.task.mapLine > 0)
      ? 'was not initialised'
      : null;
  }
  if (child.life === 'linked' && !child.isRoot) return 'is already linked';
  if (named && (child.life === 'removed' || child.life === 'freed')) return `was ${child.life}`;
  if (child.life !== 'initialised') return null;
  if (child.level !== c.level - 1)
    return `was initialised for ${entrySize(child)} entries, not ${sizeAt(c.level - 2)}`;
  return child.base === c.gfn ? null : `was initialised for ${gfnText(child.base)}`;
}

const LINKED: TraceRule = {
  id: 'K13',
  needs: ['chg'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.newKind !== TABLE || c.oldKind === TABLE || c.fit === 'late') return;
      report.exercised(c.vm);
      const child = world.tables.get(frameOf(c.newHi, c.newLo));
      const what = whyNotToLink(world, c, child);
      if (what === null) return;
      report.violated(
        whereOf(world, c),
        `links a table that ${what}: ${valuesOf(c)}`,
        child === undefined ? [] : unlinkedAt(child),
      );
    });
  },
};

export default [SPLIT, LINKED] satisfies readonly TraceRule[];
