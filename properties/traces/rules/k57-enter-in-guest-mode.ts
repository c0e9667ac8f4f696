/** K57 in a trace: exits that a vCPU handles, and its entries between them. */
import type { Task } from '../state/task.ts';
import type { TraceRule } from './rule.ts';
import { isBusyEntry } from './vcpu-entries.ts';

const rule: TraceRule = {
  id: 'K57',
  needs: ['kvm_exit', 'tdx_handle_exit'],
  watch: (world, report) => {
    /** Line at which each task handled an exit, until its next exit. */
    const handled = new Map<Task, number>();
    let isRefused = false;
    world.on('tdh_vp_enter_ret', (e) => {
      isRefused = isBusyEntry(e);
    });
    world.on('kvm_exit', (_, task) => {
      if (!isRefused) handled.delete(task);
      isRefused = false;
    });
    world.on('tdx_handle_exit', (e, task) => {
      report.exercised(task.runs);
      const before = handled.get(task);
      handled.set(task, e.line);
      if (before === undefined) return;
      report.violated(
        { line: e.line, task, vm: task.runs },
        'handles an exit again without having entered the guest',
        [{ line: before, what: 'the first time' }],
      );
    });
    world.listeners.forgetting.push(() => handled.clear());
  },
};

export default rule;
