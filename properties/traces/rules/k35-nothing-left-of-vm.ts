/** K35 in a trace: roots and tables that are left when the MMU of a VM is gone, or never freed. */
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import { reusedBy } from './roots.ts';
import type { TraceRule } from './rule.ts';
import { BATCH, hasEveryCallback, placeOf } from './tables.ts';

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
        { line: e.line, task, vm, unless: reusedBy(world) },
        `the MMU is gone, and ${placeOf(linked)} is still linked`,
        [{ line: linked.linkedLine, what: 'the table was linked' }],
      );
    });
  },
};

/** Every reference of every root is put by the time the MMU of the VM is gone. */
const PUT: TraceRule = {
  id: 'K35',
  needs: ['vm_uninit', 'put_root', 'init_sp'],
  watch: (world, report) => {
    /** Roots whose last reference was put. */
    const put = new WeakSet<Table>();
    world.on('put_root', (e) => {
      const root = world.tableOf(e.number('spt'));
      if (root !== undefined && e.low('rc') <= 1) put.add(root);
    });
    world.on('zap_inval_ret', (e, task) => {
      const { vm } = task;
      if (vm === null || vm.uninitialised === 0) return;
      report.exercised(vm);
      const held = vm.roots.find((root) => !put.has(root));
      if (held === undefined) return;
      report.violated(
        { line: e.line, task, vm },
        `the MMU is gone, and the root on page 0x${held.frame.toString(16)} is still referenced`,
        held.initialisedLine === 0
          ? []
          : [{ line: held.initialisedLine, what: 'the root was allocated' }],
      );
    });
  },
};

/** Tables under a root that was freed, with the event of that. */
interface FreedRoot {
  readonly vm: Vm;
  readonly task: Task;
  readonly line: number;
  readonly text: string;
  readonly tables: readonly Table[];
}

/** A table has leaked if it is not freed by the time its root is. */
const LEAKED: TraceRule = {
  id: 'K35',
  needs: ['chg', 'free_rcu'],
  watch: (world, report) => {
    let freed: FreedRoot[] = [];
    world.listeners.freeing.push((root, task) => {
      const { vm } = root;
      if (!root.isRoot || root.life === 'freed') return;
      report.exercised(vm);
      const tables = [...vm.tables].filter(
        (table) => table.life === 'removed' && table.root === root,
      );
      freed = freed.filter((each) => each.tables.some(({ life }) => life !== 'freed'));
      if (tables.length > 0)
        freed.push({ vm, task, line: world.e.line, text: world.e.text(), tables });
    });
    world.listeners.forgetting.push(() => {
      freed = [];
    });
    world.listeners.ending.push(() => {
      if (!hasEveryCallback(world)) return;
      for (const { vm, task, line, text, tables } of freed) {
        const leaked =
          world.e.line - line < BATCH ? undefined : tables.find(({ life }) => life !== 'freed');
        if (leaked === undefined) continue;
        report.violated(
          { line, task, vm, text },
          `the root is freed, and ${placeOf(leaked)} never is`,
          [{ line: leaked.removedLine, what: 'the table was unlinked' }],
        );
      }
    });
  },
};

export default [LINKED, PUT, LEAKED] satisfies readonly TraceRule[];
