/**
 * Huge pages that the guest may not execute: tables are taken back (K18), and none is let through
 * (K12).
 */
import { frameOfAddress, indexOfAddress } from '../state/addresses.ts';
import { valuesOf } from '../state/change.ts';
import { FROZEN, frameOf, has, LEAF, LEAF_LEVEL, TABLE } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { TraceRule } from './rule.ts';

interface Recovery {
  readonly line: number;
  /** The table that is to be taken back, and the entry that it is reached through. */
  readonly frame: number;
  readonly parent: number;
  readonly index: number;
}

const K18: TraceRule = {
  id: 'K18',
  needs: ['nxzap'],
  watch: (world, report) => {
    const recovering = new Map<Task, Recovery>();
    world.on('nxzap', (e, task) => {
      if (!e.has('ptep')) return;
      const ptep = e.number('ptep');
      recovering.set(task, {
        line: e.line,
        frame: frameOfAddress(e.number('spt')),
        parent: frameOfAddress(ptep),
        index: indexOfAddress(ptep),
      });
    });
    world.listeners.releasing.push((task) => recovering.delete(task));
    world.listeners.forgetting.push(() => recovering.clear());
    world.listeners.changing.push((c) => {
      const recovery = recovering.get(c.task);
      if (recovery === undefined || c.table === null) return;
      const isMeant = c.table.frame === recovery.parent && c.index === recovery.index;
      // what is below the table is frozen
      if (!isMeant && (c.oldKind !== TABLE || c.newKind === FROZEN)) return;
      report.exercised(c.vm);
      if (!isMeant) {
        report.violated(
          c,
          `another entry than that of the table that is to be taken back: ${valuesOf(c)}`,
          [
            {
              line: recovery.line,
              what: `${c.task.name} takes back the table on page 0x${recovery.frame.toString(16)}`,
            },
          ],
        );
        return;
      }
      if (c.oldKind === TABLE && frameOf(c.oldHi, c.oldLo) === recovery.frame) return;
      report.violated(
        c,
        `the entry does not point to the table that is to be taken back: ${valuesOf(c)}`,
        [
          {
            line: recovery.line,
            what: `${c.task.name} takes back the table on page 0x${recovery.frame.toString(16)}`,
          },
        ],
      );
    });
  },
};

interface Suspect {
  readonly line: number;
  readonly text: string;
  readonly task: Task;
  readonly seen: string;
}

/**
 * Whether such pages are forbidden the trace does not say. They are when one is mapped without
 * leave to execute; and who changes that takes all roots away. So one that is let through between
 * two that are not was wrong.
 */
const K12: TraceRule = {
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

export default [K18, K12] satisfies readonly TraceRule[];
