/** K10 in a trace: which task changes a FROZEN entry. */
import { valuesOf, type Change } from '../state/change.ts';
import { FROZEN } from '../state/spte.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import { brokenChainRule } from './broken-chains.ts';
import type { TraceRule } from './rule.ts';

const CHANGED: TraceRule = {
  id: 'K10',
  needs: ['chg'],
  watch: (world, report) => {
    /**
     * Tasks that froze entries of mirrors. Their writes that end FROZEN have an event; those in
     * direct roots have none.
     */
    const owners = new WeakMap<Table, Map<number, Task>>();
    const isOwners = ({ table, index, task }: Change): boolean =>
      table?.mirror === true && (owners.get(table)?.get(index) ?? task) === task;
    world.listeners.changing.push((c) => {
      if (c.newKind !== FROZEN && c.oldKind !== FROZEN) return;
      // it may be a mirror's
      if (c.table === null && world.kernel?.changesNameTables === true) return;
      report.exercised(c.vm);
      if (c.oldKind === FROZEN && !isOwners(c))
        report.violated(c, `changes a FROZEN entry: ${valuesOf(c)}`);
      if (c.newKind !== FROZEN || c.table?.mirror !== true) return;
      owners.set(c.table, (owners.get(c.table) ?? new Map<number, Task>()).set(c.index, c.task));
    });
  },
};

const CHAIN = brokenChainRule('K10', () => false);

export default [CHANGED, CHAIN] satisfies readonly TraceRule[];
