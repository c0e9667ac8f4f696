/**
 * The end of a VM's MMU (K35), and of its tables where that is not told by the callback that frees
 * them (K5).
 */
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import type { TraceRule } from './rule.ts';

/** So many lines after a root was freed, what else it had was, too: callbacks run in batches. */
const BATCH = 10;

/**
 * The probes that tell of VMs came together with one that misses no callback; others miss some in
 * interrupts.
 */
const missesNone = (world: World): boolean =>
  world.hasSeen('vm_init') && world.hasSeen('free_rcu') && world.kernel?.namesTables === true;

const placeOf = ({ base, level }: Table): string =>
  `the table of GFN 0x${base.toString(16)} at level ${level}`;

interface Gone {
  readonly vm: Vm;
  readonly task: Task;
  /** Where its root was freed. */
  readonly line: number;
  readonly text: string;
  readonly tables: readonly Table[];
}

const K35: TraceRule = {
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

interface Reuse {
  readonly line: number;
  readonly text: string;
  readonly task: Task;
  readonly vm: Vm;
  readonly seen: string;
  readonly removed: number;
}

const K5: TraceRule = {
  id: 'K5',
  needs: ['free_rcu', 'init_sp'],
  watch: (world, report) => {
    const reused: Reuse[] = [];
    world.listeners.reusing.push((table, task) => {
      if (table.life !== 'removed' || reused.length > BATCH) return;
      reused.push({
        line: world.e.line,
        text: world.e.text(),
        task,
        vm: table.vm,
        removed: table.removedLine,
        seen: `the page of ${placeOf(table)} is used again, and no RCU callback freed it`,
      });
    });
    world.listeners.forgetting.push(() => reused.splice(0));
    world.listeners.ending.push(() => {
      if (!missesNone(world)) return;
      for (const { seen, removed, ...where } of reused) {
        if (where.vm.frees === 0) continue;
        report.violated(where, seen, [{ line: removed, what: 'it was unlinked' }]);
      }
    });
  },
};

export default [K35, LEAK, K5] satisfies readonly TraceRule[];
