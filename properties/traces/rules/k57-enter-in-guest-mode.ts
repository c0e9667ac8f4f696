import type { Task } from '../state/task.ts';
import type { TraceRule } from './rule.ts';
import { BUSY } from './vcpu-entries.ts';

const K57: TraceRule = {
  id: 'K57',
  needs: ['kvm_exit', 'tdx_handle_exit'],
  watch: (world, report) => {
    /** Where tasks handled an exit, and have had none since. */
    const handled = new Map<Task, number>();
    let isRefused = false;
    world.on('tdh_vp_enter_ret', (e) => {
      isRefused = e.high('status') === BUSY;
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
        'an exit is handled a second time: the vCPU was not inside since',
        [{ line: before, what: 'the first time' }],
      );
    });
    world.listeners.forgetting.push(() => handled.clear());
  },
};

export default K57 satisfies TraceRule;
