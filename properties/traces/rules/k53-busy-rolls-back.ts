/** K53 in a trace: what a fault does with the entry whose call was refused as busy. */
import { valuesOf } from '../state/change.ts';
import { isPresent } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { TracedCall } from '../tdx/call.ts';
import { keyOf, nameOfKey, type Key } from '../tdx/td.ts';
import { ADDS, HOOKS, HOOKS_END, onMirrorChange } from './mirror.ts';
import type { TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K53',
  needs: ['chg', 'tdh_mem_page_aug', 'tdh_mem_page_aug_ret'],
  watch: (world, report, { tds }) => {
    /** Call of each task that was refused. */
    const refused = new Map<Task, TracedCall>();
    /** Entry that each task changed before its call. */
    const changed = new Map<Task, Key>();
    const endFault = (line: number, task: Task): void => {
      const call = refused.get(task);
      refused.delete(task);
      if (call === undefined || changed.get(task) !== call.key) return;
      report.violated(
        { line, task, vm: task.vm },
        `ends the fault without restoring ${nameOfKey(call.key)} in the mirror`,
        [{ line: call.line, what: `${call.name} was refused as busy` }],
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
        `continues as if ${call.name} had succeeded, which was refused as busy`,
        [{ line: call.line, what: 'the call' }],
      );
    });
    onMirrorChange(tds, (c) => {
      const key = keyOf(c.gfn, c.level);
      const call = refused.get(c.task);
      if (call?.key === key && isPresent(c.newKind)) {
        report.violated(
          c,
          `makes an entry present after ${call.name} was refused as busy: ${valuesOf(c)}`,
          [{ line: call.line, what: 'the call' }],
        );
      }
      if (isPresent(c.newKind)) changed.set(c.task, key);
      else if (changed.get(c.task) === key) changed.delete(c.task);
    });
    world.on(['tdp_fault', 'tdx_handle_exit_ret', 'kvm_entry'], (e, task) => {
      if (refused.size > 0) endFault(e.line, task);
    });
    world.listeners.forgetting.push(() => {
      refused.clear();
      changed.clear();
    });
  },
};

export default rule;
