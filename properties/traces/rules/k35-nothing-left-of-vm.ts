import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { TraceRule } from './rule.ts';
import { BATCH, missesNone, placeOf } from './tables.ts';

interface Gone {
  readonly vm: Vm;
  readonly task: Task;
  /** Where its root was freed. */
  readonly line: number;
  readonly text: string;
  readonly tables: readonly Table[];
}

const LINKED: TraceRule = {
  id: 'K35',
  needs: ['vm_uninit'],
  watch: (world, report) => {
    world.on('zap_inval_ret', (e, task) => {
      const { vm } = task;
      if (vm === null || vm.uninitialised === 0) return;
      report.exercised(vm);
      const linked = [...vm.tables].find((table) => table.life === 'linked' && !table.isRoot);
      if (linked === undefined) return;
      report.violated(
        { line: e.line, task, vm },
        `the MMU is gone, and ${placeOf(linked)} is linked`,
        [{ line: linked.linkedLine, what: 'it was linked' }],
      );
    });
  },
};

/** A table that is never freed: known when its root is. */
const LEAK: TraceRule = {
  id: 'K35',
  needs: ['chg', 'free_rcu'],
  watch: (world, report) => {
    let gone: Gone[] = [];
    world.listeners.freeing.push((root, task) => {
      const { vm } = root;
      if (!root.isRoot || root.life === 'freed') return;
      report.exercised(vm);
      const tables = [...vm.tables].filter(
        (table) => table.life === 'removed' && table.root === root,
      );
      gone = gone.filter((each) => each.tables.some(({ life }) => life !== 'freed'));
      if (tables.length > 0)
        gone.push({ vm, task, line: world.e.line, text: world.e.text(), tables });
    });
    world.listeners.forgetting.push(() => {
      gone = [];
    });
    world.listeners.ending.push(() => {
      if (!missesNone(world)) return;
      for (const { vm, task, line, text, tables } of gone) {
        const leaked =
          world.e.line - line < BATCH ? undefined : tables.find(({ life }) => life !== 'freed');
        if (leaked === undefined) continue;
        report.violated(
          { line, task, vm, text },
          `the root is gone, and ${placeOf(leaked)} was never freed`,
          [{ line: leaked.removedLine, what: 'it was unlinked' }],
        );
      }
    });
  },
};

export default [LINKED, LEAK] satisfies readonly TraceRule[];
