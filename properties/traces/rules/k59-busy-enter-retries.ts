import type { Task } from '../state/task.ts';
import type { TraceRule } from './rule.ts';
import { BUSY } from './vcpu-entries.ts';

/** vCPUs whose last try to enter was refused, and where. */
type Refused = Map<Task, number>;

const K59: TraceRule = {
  id: 'K59',
  needs: ['tdh_vp_enter', 'tdh_vp_enter_ret', 'tdx_handle_exit'],
  watch: (world, report, { tds }) => {
    const refused: Refused = new Map();
    world.on('tdh_vp_enter_ret', (e, task) => {
      if (refused.delete(task)) report.exercised(task.runs);
      if (e.high('status') === BUSY) refused.set(task, e.line);
    });
    const given = (e: { readonly line: number }, task: Task, seen: string): void => {
      const line = refused.get(task);
      refused.delete(task);
      if (line === undefined || tds.ofTask(task)?.isDead === true) return;
      report.violated({ line: e.line, task, vm: task.runs, unless: ['request'] }, seen, [
        { line, what: 'TDH.VP.ENTER was refused' },
      ]);
    };
    world.on('tdx_handle_exit', (e, task) =>
      given(e, task, 'an exit is handled, and the vCPU did not enter'),
    );
    world.on('kvm_userspace_exit', (e, task) => {
      // a signal may come at any time
      if (refused.has(task) && !/reason (restart|KVM_EXIT_INTR)/.test(e.text())) {
        given(e, task, 'the vCPU gives up, and TDH.VP.ENTER was only refused');
      }
    });
    world.listeners.forgetting.push(() => refused.clear());
  },
};

export default K59 satisfies TraceRule;
