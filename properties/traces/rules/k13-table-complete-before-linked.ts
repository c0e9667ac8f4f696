import { valuesOf, type Change } from '../state/change.ts';
import { frameOf, TABLE } from '../state/spte.ts';
import { PREFILLED, type Table } from '../state/table.ts';
import type { World } from '../state/world.ts';
import { broken } from './broken-chains.ts';
import type { TraceRule } from './rule.ts';
import { at, removal } from './tables.ts';

const PREFILLED_ENTRIES = broken('K13', (c) => c.known === PREFILLED);

/** What is wrong with linking `child`; null when nothing is, or it cannot be told. */
function notToLink(world: World, c: Change, child: Table | undefined): string | null {
  const named = world.kernel?.namesTables === true;
  if (child === undefined) {
    return named && ((c.table?.initialisedLine ?? 0) > 0 || c.task.mapLine > 0)
      ? 'was not initialised'
      : null;
  }
  if (child.life === 'linked' && !child.isRoot) return 'is linked already';
  if (named && (child.life === 'removed' || child.life === 'freed')) return `was ${child.life}`;
  if (child.life !== 'initialised') return null;
  if (child.level !== c.level - 1) return `was initialised for level ${child.level}`;
  return child.base === c.gfn ? null : `was initialised for GFN 0x${child.base.toString(16)}`;
}

const LINKED: TraceRule = {
  id: 'K13',
  needs: ['chg'],
  watch: (world, report) => {
    world.listeners.changing.push((c) => {
      if (c.newKind !== TABLE || c.oldKind === TABLE || c.fit === 'late') return;
      report.exercised(c.vm);
      const child = world.tables.get(frameOf(c.newHi, c.newLo));
      const what = notToLink(world, c, child);
      if (what === null) return;
      report.violated(
        at(world, c),
        `the table that is linked ${what}: ${valuesOf(c)}`,
        child === undefined ? [] : removal(child),
      );
    });
  },
};

export default [PREFILLED_ENTRIES, LINKED] satisfies readonly TraceRule[];
