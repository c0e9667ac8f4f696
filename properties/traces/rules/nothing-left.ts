/** Rules about leaves that an invalidation leaves behind: K22 and K34. */
import { someLeaf } from '../state/leaves.ts';
import type { Range } from '../state/notifiers.ts';
import { hexOf } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import { began } from './invalidations.ts';
import type { TraceRule } from './rule.ts';

const rangeText = ({ start, end }: Range): string =>
  `GFNs 0x${start.toString(16)} up to 0x${end.toString(16)}`;

/**
 * Roots that a range is about: those of the address spaces that were walked, or of the only one
 * that there is. Where no event tells of the whole range, a walk that was not done is not known,
 * and it is those that were.
 */
function rootsFor(world: World, vm: Vm, { asIds, sps }: Range): Table[] {
  if (world.kernel?.namesTables !== true) {
    const named = new Set(vm.rootsBySp.values());
    const others = vm.roots.filter((root) => !named.has(root));
    // an address that nothing was found under yet is that of the only root without one
    return [...sps].flatMap((sp) => vm.rootsBySp.get(sp) ?? (others.length === 1 ? others : []));
  }
  const only = new Set(vm.roots.map(({ asId }) => asId)).size === 1;
  return vm.roots.filter((root) => (asIds.size === 0 ? only : asIds.has(root.asId)));
}

/**
 * Looks for leaves of a range that an invalidation leaves behind, in roots that `premise` holds
 * for.
 */
export const nothingLeft = (
  id: string,
  needs: TraceRule['needs'],
  named: boolean,
  premise: (root: Table) => boolean,
): TraceRule => ({
  id,
  needs,
  watch: (world, report, { notifiers }) => {
    notifiers.ending.push((invalidation, e) => {
      if (world.kernel?.namesTables !== named) return;
      for (const range of invalidation.ranges) {
        for (const root of rootsFor(world, invalidation.vm, range)) {
          if (!premise(root)) continue;
          report.exercised(root.vm);
          someLeaf(world, root, range.start, range.end, (table, i) => {
            report.violated(
              { line: e.line, task: invalidation.task, vm: root.vm },
              `${rangeText(range)} were to be given up, and ${hexOf(table.hi[i] ?? 0, table.lo[i] ?? 0)} still maps ` +
                `0x${table.gfnOf(i).toString(16)} under a${root.invalid ? 'n invalid' : ' valid'} root`,
              [began(invalidation), { line: table.lines[i] ?? 0, what: 'the leaf was written' }],
            );
            return true;
          });
        }
      }
    });
  },
});
