import { valuesOf } from '../state/change.ts';
import { isPresent } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { TracedCall } from '../tdx/call.ts';
import { keyOf, nameOfKey, type Key } from '../tdx/td.ts';
import { ADDS, HOOKS, HOOKS_END, onMirror } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const K53: TraceRule = {
  id: 'K53',
  needs: ['chg', 'tdh_mem_page_aug', 'tdh_mem_page_aug_ret'],
  watch: (world, report, { tds }) => {
    /**
     * By task: the call that was refused, and the entry that the task has changed ahead of its
     * call.
     */
    const refused = new Map<Task, TracedCall>();
    const changed = new Map<Task, Key>();
    const over = (line: number, task: Task): void => {
      const call = refused.get(task);
      refused.delete(task);
      if (call === undefined || changed.get(task) !== call.key) return;
      report.violated(
        { line, task, vm: task.vm },
        `the fault is over, and ${nameOfKey(call.key)} was not put back in the mirror`,
        [{ line: call.line, what: `${call.name} was refused` }],
      );
    };
    tds.ended.push((_td, task, call) => {
      if (!ADDS.has(call.name)) return;
      if (call.isBusy) refused.set(task, call);
      else if (refused.get(task)?.key === call.key) refused.delete(task);
    });
    world.on(HOOKS, (e, task) => changed.set(task, keyOf(e.number('gfn'), e.low('level'))));
    world.on(HOOKS_END, (e, task) => {
      const call = refused.get(task);
      refused.delete(task);
      changed.delete(task);
      if (call === undefined) return;
      report.exercised(task.vm);
      if (e.low('ret') !== 0) return;
      report.violated(
        { line: e.line, task, vm: task.vm },
        `${call.name} was refused, and KVM goes on as if it were done`,
        [{ line: call.line, what: 'the call' }],
      );
    });
    onMirror(tds, (c) => {
      const key = keyOf(c.gfn, c.level);
      const call = refused.get(c.task);
      if (call?.key === key && isPresent(c.newKind)) {
        report.violated(c, `it becomes present after ${call.name} was refused: ${valuesOf(c)}`, [
          { line: call.line, what: 'the call' },
        ]);
      }
      if (isPresent(c.newKind)) changed.set(c.task, key);
      else if (changed.get(c.task) === key) changed.delete(c.task);
    });
    world.on(['tdp_fault', 'tdx_handle_exit_ret', 'kvm_entry'], (e, task) => {
      if (refused.size > 0) over(e.line, task);
    });
    world.listeners.forgetting.push(() => {
      refused.clear();
      changed.clear();
    });
  },
};

export default K53 satisfies TraceRule;
