/** K23 in a trace: vCPUs that enter or stay in the guest with an invalid root. */
import type { Table } from '../state/table.ts';
import type { Task } from '../state/task.ts';
import { invalidSince } from './roots.ts';
import type { TraceRule } from './rule.ts';
import { mayReportExitsLate, LATE_EXIT } from './vcpu-exits.ts';

const ENTRIES: TraceRule = {
  id: 'K23',
  needs: ['kvm_entry', 'inval_roots', 'map', 'loadmmu'],
  watch: (world, report) => {
    /** Root that each vCPU uses. */
    const used = new Map<Task, Table>();
    /** Roots that each task makes invalid while it holds mmu_lock. */
    const invalidating = new Map<Task, Table[]>();
    /** Roots whose invalidation has ended, and where. */
    const settled = new Map<Table, number>();
    world.on(['map', 'fpf'], (e, task) => {
      const root = world.rootOf(e.number('root'));
      if (root !== undefined) used.set(task, root);
    });
    world.on(['loadmmu', 'freeobs'], (_, task) => {
      if (used.get(task)?.invalid === true) report.exercised(task.vm);
      used.delete(task);
    });
    world.on('inval_roots', (_, task) => {
      invalidating.set(task, task.vm?.roots.filter(({ invalid }) => invalid) ?? []);
    });
    world.listeners.releasing.push((task, { lock }) => {
      if (lock !== task.vm?.id) return;
      for (const root of invalidating.get(task) ?? []) settled.set(root, world.e.line);
      invalidating.delete(task);
    });
    world.listeners.freeing.push((table) => settled.delete(table));
    world.listeners.forgetting.push(() =>
      [used, invalidating, settled].forEach((map) => map.clear()),
    );
    world.on('kvm_entry', (e, task) => {
      const root = used.get(task);
      if (root === undefined || !settled.has(root)) return;
      report.violated(
        { line: e.line, task, vm: root.vm },
        'a vCPU enters the guest with an invalid root',
        invalidSince(root),
      );
    });
  },
};

/** A task that makes roots invalid kicks all vCPUs out of the guest before it drops mmu_lock. */
const GUESTS: TraceRule = {
  id: 'K23',
  needs: ['kvm_entry', 'kvm_exit', 'inval_roots'],
  watch: (world, report) => {
    /** Line at which each vCPU entered the guest. */
    const inside = new Map<Task, number>();
    /** Line at which each task began to make roots invalid. */
    const invalidating = new Map<Task, number>();
    world.on('kvm_entry', ({ line }, task) => inside.set(task, line));
    world.on('kvm_exit', (_, task) => inside.delete(task));
    world.on('inval_roots', ({ line }, task) => invalidating.set(task, line));
    world.listeners.forgetting.push(() => [inside, invalidating].forEach((map) => map.clear()));
    world.listeners.releasing.push((task, { lock }) => {
      const since = invalidating.get(task);
      if (since === undefined || lock !== task.vm?.id) return;
      invalidating.delete(task);
      report.exercised(task.vm);
      for (const [vcpu, entered] of inside) {
        if (vcpu.runs !== task.vm || entered >= since) continue;
        if (mayReportExitsLate(world)) {
          report.notJudged(LATE_EXIT);
          continue;
        }
        report.violated(
          { line: world.e.line, task, vm: task.vm },
          `releases mmu_lock with roots invalid while ${vcpu.name} is still in the guest`,
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
