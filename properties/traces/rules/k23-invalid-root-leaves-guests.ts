import { frameOfPhysical } from '../state/addresses.ts';
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import { invalidation } from './roots.ts';
import type { TraceRule } from './rule.ts';

const ENTRIES: TraceRule = {
  id: 'K23',
  needs: ['kvm_entry', 'inval_roots', 'map', 'loadmmu'],
  watch: (world, report) => {
    /** Roots that vCPUs use, and roots that whoever made them invalid has done with. */
    const used = new Map<Task, Table>();
    const making = new Map<Task, Table[]>();
    const settled = new Map<Table, number>();
    world.on(['map', 'fpf'], (e, task) => {
      const root = world.tables.get(frameOfPhysical(e.number('root')));
      if (root !== undefined) used.set(task, root);
    });
    world.on(['loadmmu', 'freeobs'], (_, task) => {
      if (used.get(task)?.invalid === true) report.exercised(task.vm);
      used.delete(task);
    });
    world.on('inval_roots', (_, task) => {
      making.set(task, task.vm?.roots.filter(({ invalid }) => invalid) ?? []);
    });
    world.listeners.releasing.push((task, { lock }) => {
      if (lock !== task.vm?.id) return;
      for (const root of making.get(task) ?? []) settled.set(root, world.e.line);
      making.delete(task);
    });
    world.listeners.freeing.push((table) => settled.delete(table));
    world.listeners.forgetting.push(() => [used, making, settled].forEach((map) => map.clear()));
    world.on('kvm_entry', (e, task) => {
      const root = used.get(task);
      if (root === undefined || !settled.has(root)) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        'a vCPU enters the guest with a root that is invalid',
        invalidation(root),
      );
    });
  },
};

/**
 * The other half of it: whoever makes roots invalid gets everybody out of the guest before he lets
 * go of mmu_lock.
 */
const GUESTS: TraceRule = {
  id: 'K23',
  needs: ['kvm_entry', 'kvm_exit', 'inval_roots'],
  watch: (world, report) => {
    /** Since when vCPUs are in the guest, and since when roots are made invalid. */
    const inside = new Map<Task, number>();
    const making = new Map<Task, number>();
    world.on('kvm_entry', ({ line }, task) => inside.set(task, line));
    world.on('kvm_exit', (_, task) => inside.delete(task));
    world.on('inval_roots', ({ line }, task) => making.set(task, line));
    world.listeners.forgetting.push(() => [inside, making].forEach((map) => map.clear()));
    world.listeners.releasing.push((task, { lock }) => {
      const since = making.get(task);
      if (since === undefined || lock !== task.vm?.id) return;
      making.delete(task);
      report.exercised(task.vm);
      for (const [vcpu, entered] of inside) {
        if (vcpu.runs !== task.vm || entered >= since) continue;
        report.violated(
          { line: world.e.line, task, vm: task.vm },
          `roots are invalid, and ${vcpu.name} is still in the guest`,
          [
            { line: since, what: `${task.name} makes roots invalid` },
            { line: entered, what: `${vcpu.name} entered the guest` },
          ],
        );
      }
    });
  },
};

export default [ENTRIES, GUESTS] satisfies readonly TraceRule[];
