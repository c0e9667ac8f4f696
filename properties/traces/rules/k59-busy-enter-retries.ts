/** K59 in a trace: what a vCPU does after TDH.VP.ENTER was refused as busy. */
import type { Task } from '../state/task.ts';
import type { TraceRule } from './rule.ts';
import { isBusyEntry } from './vcpu-entries.ts';

const rule: TraceRule = {
  id: 'K59',
  needs: ['tdh_vp_enter', 'tdh_vp_enter_ret', 'tdx_handle_exit'],
  watch: (world, report, { tds }) => {
    /** Line at which each vCPU's last try to enter was refused. */
    const refused = new Map<Task, number>();
    world.on('tdh_vp_enter_ret', (e, task) => {
      if (refused.delete(task)) report.exercised(task.runs);
      if (isBusyEntry(e)) refused.set(task, e.line);
    });
    const judge = (e: { readonly line: number }, task: Task, seen: string): void => {
      const line = refused.get(task);
      refused.delete(task);
      if (line === undefined || tds.ofTask(task)?.isDead === true) return;
      report.violated({ line: e.line, task, vm: task.runs, unless: ['request'] }, seen, [
        { line, what: 'tdh_vp_enter was refused as busy' },
      ]);
    };
    world.on('tdx_handle_exit', (e, task) =>
      judge(e, task, 'handles an exit although the vCPU did not enter the guest'),
    );
    world.on('kvm_userspace_exit', (e, task) => {
      // a signal may come at any time
      if (refused.has(task) && !/reason (restart|KVM_EXIT_INTR)/.test(e.text())) {
        judge(e, task, 'exits to user space although tdh_vp_enter was only busy');
      }
    });
    world.listeners.forgetting.push(() => refused.clear());
  },
};

export default rule;
