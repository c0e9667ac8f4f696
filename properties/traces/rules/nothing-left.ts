/** Rules about leaves that an invalidation leaves behind: K22 and K34. */
import { someLeaf } from '../state/leaves.ts';
import type { Range } from '../state/notifiers.ts';
import { hexOf } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import { gfnText, rangeText } from './gfns.ts';
import { invalidationCause } from './invalidations.ts';
import { ROOT_REUSE } from './roots.ts';
import type { TraceRule } from './rule.ts';

/**
 * Roots that an invalidated range concerns: those of the address spaces that were walked, or the
 * only address space. A kernel whose tables have no names reports walks and not the whole range, so
 * that a missing walk does not show: there, the roots that were walked.
 */
function rootsFor(world: World, vm: Vm, range: Range, before: readonly Range[]): Table[] {
  const { sps } = range;
  if (world.kernel?.namesTables !== true) {
    const named = new Set(vm.rootsBySp.values());
    const others = vm.roots.filter((root) => !named.has(root));
    // an address under which no entry was seen yet belongs to the only root without an address
    return [...sps].flatMap((sp) => vm.rootsBySp.get(sp) ?? (others.length === 1 ? others : []));
  }
  const asIds = spacesOf(vm, range, before);
  const only = new Set(vm.roots.map(({ asId }) => asId)).size === 1;
  return vm.roots.filter((root) => (asIds.size === 0 ? only : asIds.has(root.asId)));
}

/**
 * Address spaces that a range concerns: those that its events name. Memslots of one address space
 * do not overlap, so a second range with the same GFNs is another address space's, whatever roots
 * were walked for it.
 */
function spacesOf(vm: Vm, { asIds, start, end }: Range, before: readonly Range[]): Set<number> {
  const taken = before
    .filter((other) => other.start < end && other.end > start)
    .flatMap((other) => [...other.asIds]);
  return taken.length > 0 && [...asIds].every((asId) => taken.includes(asId))
    ? new Set([...vm.addressSpaces].filter((asId) => !taken.includes(asId)))
    : asIds;
}

/**
 * Looks for leaves of an invalidated range, in roots that satisfy `premise`, when the invalidation
 * ends. `named` selects the kernels whose tables have names, or the others.
 */
export const nothingLeft = (
  id: string,
  needs: TraceRule['needs'],
  named: boolean,
  premise: (root: Table) => boolean,
): TraceRule => ({
  id,
  needs,
  // without these, a root may have become another one's
  ...(named ? { needsOne: ROOT_REUSE } : {}),
  watch: (world, report, { notifiers }) => {
    notifiers.ending.push((invalidation, e) => {
      if (world.kernel?.namesTables !== named) return;
      for (const [i, range] of invalidation.ranges.entries()) {
        const before = invalidation.ranges.slice(0, i);
        for (const root of rootsFor(world, invalidation.vm, range, before)) {
          if (!premise(root)) continue;
          report.exercised(root.vm);
          someLeaf(world, root, range.start, range.end, (table, at) => {
            report.violated(
              { line: e.line, task: invalidation.task, vm: root.vm },
              `ends the invalidation of ${rangeText(range)}, but ` +
                `${hexOf(table.hi[at] ?? 0, table.lo[at] ?? 0)} still maps ` +
                `${gfnText(table.gfnOf(at))} under a${root.invalid ? 'n invalid' : ' valid'} root`,
              [
                invalidationCause(invalidation),
                { line: table.lines[at] ?? 0, what: 'the leaf was written' },
              ],
            );
            return true;
          });
        }
      }
    });
  },
});
