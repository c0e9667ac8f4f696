/** What an SPTE may become: K8 to K10, K17; and what its value says of itself: K12, K19. */
import type { SpteLayout } from '../../../spec/kvm/layouts/layout.ts';
import type { EventName } from '../reader/event-table.ts';
import { valuesOf, type Change } from '../state/change.ts';
import { FROZEN, frameOf, has, isPresent, LEAF, MMIO, pagesAt, TABLE } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { World } from '../state/world.ts';
import type { TraceReporter, TraceRule } from './rule.ts';

/**
 * A rule about each change that `premise` holds for; `named` where it is about what tables are said
 * to be.
 */
function onChange(
  id: string,
  premise: (c: Change) => boolean,
  wrong: (c: Change, layout: SpteLayout) => string | null,
  named = false,
): TraceRule {
  const watch = (world: World, report: TraceReporter): void => {
    world.listeners.changing.push((c) => {
      if (world.kernel === null || !premise(c)) return;
      report.exercised(c.vm);
      const what = wrong(c, world.kernel.layout);
      if (what === null) return;
      const unless: EventName[] = named && world.kernel.namesTables ? ['init_sp'] : [];
      report.violated({ line: c.line, task: c.task, vm: c.vm, unless }, `${what}: ${valuesOf(c)}`);
    });
  };
  return { id, needs: ['chg'], watch };
}

const sameFrame = (c: Change): boolean => frameOf(c.oldHi, c.oldLo) === frameOf(c.newHi, c.newLo);

const K8 = onChange(
  'K8',
  (c) => c.oldKind === LEAF && c.newKind === LEAF,
  (c) => (sameFrame(c) ? null : 'a leaf became one of another page'),
);

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

const K10: TraceRule = {
  id: 'K10',
  needs: ['chg'],
  watch: (world, report) => {
    /**
     * Who froze entries of mirrors: they thaw them by a write that is traced, where direct roots
     * have none.
     */
    const owners = new WeakMap<Table, Map<number, Task>>();
    const isOwners = ({ table, index, task }: Change): boolean =>
      table?.mirror === true && (owners.get(table)?.get(index) ?? task) === task;
    world.listeners.changing.push((c) => {
      if (c.newKind !== FROZEN && c.oldKind !== FROZEN) return;
      report.exercised(c.vm);
      if (c.oldKind === FROZEN && !isOwners(c))
        report.violated(c, `a FROZEN entry was changed: ${valuesOf(c)}`);
      if (c.newKind !== FROZEN || c.table?.mirror !== true) return;
      owners.set(c.table, (owners.get(c.table) ?? new Map<number, Task>()).set(c.index, c.task));
    });
  },
};

const K17 = onChange(
  'K17',
  (c) => c.oldKind === TABLE,
  (c) => (c.newKind !== TABLE || sameFrame(c) ? null : 'an entry came to point to another table'),
);

const K12 = onChange(
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

const K19 = onChange(
  'K19',
  (c) => c.newKind === LEAF,
  (c, { writable, mmuWritable, hostWritable }) => {
    if (has(writable, c.newHi, c.newLo) && !has(mmuWritable, c.newHi, c.newLo))
      return 'W without MMU-writable';
    return has(mmuWritable, c.newHi, c.newLo) && !has(hostWritable, c.newHi, c.newLo)
      ? 'MMU-writable without host-writable'
      : null;
  },
);

export default [K8, K9, K9_MMIO, K10, K12, PLACE, K17, K19] satisfies readonly TraceRule[];
