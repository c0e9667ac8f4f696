/** K18 in a trace: which entry NX recovery zaps. */
import { indexOfAddress } from '../state/addresses.ts';
import { valuesOf } from '../state/change.ts';
import { frameOf, FROZEN, TABLE } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { TraceRule } from './rule.ts';

/** A table that is being recovered, and the entry that KVM expects to point to it. */
interface Recovery {
  readonly line: number;
  readonly frame: number;
  readonly parent: number;
  readonly index: number;
}

const rule: TraceRule = {
  id: 'K18',
  needs: ['nxzap'],
  watch: (world, report) => {
    const recovering = new Map<Task, Recovery>();
    world.on('nxzap', (e, task) => {
      if (!e.has('ptep') || !world.directMap.isKnown) return;
      const ptep = e.number('ptep');
      recovering.set(task, {
        line: e.line,
        frame: world.frameAt(e.number('spt')),
        parent: world.frameAt(ptep),
        index: indexOfAddress(ptep),
      });
    });
    world.listeners.releasing.push((task) => recovering.delete(task));
    world.listeners.forgetting.push(() => recovering.clear());
    world.listeners.changing.push((c) => {
      const recovery = recovering.get(c.task);
      if (recovery === undefined || c.table === null) return;
      const isMeant = c.table.frame === recovery.parent && c.index === recovery.index;
      // the tables below it are frozen as well
      if (!isMeant && (c.oldKind !== TABLE || c.newKind === FROZEN)) return;
      report.exercised(c.vm);
      if (isMeant && c.oldKind === TABLE && frameOf(c.oldHi, c.oldLo) === recovery.frame) return;
      report.violated(
        c,
        isMeant
          ? `zaps an entry that does not point to the table to recover: ${valuesOf(c)}`
          : `zaps another entry than that of the table to recover: ${valuesOf(c)}`,
        [
          {
            line: recovery.line,
            what: `${c.task.name} recovers the table on page 0x${recovery.frame.toString(16)}`,
          },
        ],
      );
    });
  },
};

export default rule;
