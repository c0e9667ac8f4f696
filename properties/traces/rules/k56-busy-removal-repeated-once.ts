/** K56 in a trace: how a call of a removal is repeated after the module refused it as busy. */
import type { CallName } from '../reader/event-table.ts';
import type { Task } from '../state/task.ts';
import { eventsOf, type TracedCall } from '../tdx/call.ts';
import { LOCK_MODE_PAIRS } from '../tdx/follow.ts';
import { PAGE_REMOVE } from './removed-frames.ts';
import type { TraceRule } from './rule.ts';

/** Calls that must succeed, because the mirror has already changed. */
const MUST_SUCCEED: ReadonlySet<CallName> = new Set([
  'tdh_mem_range_block',
  'tdh_mem_track',
  'tdh_mem_page_remove',
  'tdh_mem_sept_remove',
  'tdh_mem_range_unblock',
  'tdh_mem_page_demote',
  'tdh_mem_page_promote',
]);

const rule: TraceRule = {
  id: 'K56',
  needs: [
    ...eventsOf('tdh_mem_range_block'),
    ...eventsOf('tdh_mem_track'),
    ...eventsOf(PAGE_REMOVE),
  ],
  pairs: [...LOCK_MODE_PAIRS, ['kvm_entry', 'kvm_exit'], ['bar', 'unbar']],
  watch: (world, report, { tds }) => {
    const refused = new Map<Task, TracedCall>();
    const isSecond = (task: Task, { name, key }: TracedCall): boolean => {
      const first = refused.get(task);
      return first?.name === name && first.key === key;
    };
    tds.began.push((td, task, call) => {
      if (!isSecond(task, call)) return;
      report.exercised(td.vm);
      const causes = [{ line: refused.get(task)?.line ?? 0, what: 'it was refused as busy' }];
      if (td.barred === null) {
        report.violated(
          { line: call.line, task, vm: td.vm, unless: ['bar'] },
          `repeats ${call.name} without barring vCPUs from the guest`,
          causes,
        );
      }
      const inside = [...td.inside][0];
      if (inside !== undefined) {
        report.violated(
          { line: call.line, task, vm: td.vm },
          `repeats ${call.name} while ${inside[0].name} is in the guest`,
          [...causes, { line: inside[1], what: 'the vCPU entered the guest' }],
        );
      }
    });
    tds.ended.push((td, task, call) => {
      if (!MUST_SUCCEED.has(call.name)) return;
      const where = { line: world.e.line, task, vm: td.vm };
      if (call.isBusy && isSecond(task, call)) {
        report.violated(where, `${call.name} was refused as busy again`, [
          { line: refused.get(task)?.line ?? 0, what: 'the first time' },
        ]);
      } else if (call.isBusy && !tds.mayWrite(td, task)) {
        report.violated(
          where,
          `${call.name} was refused as busy, and its caller cannot kick vCPUs: it does not hold ` +
            'mmu_lock for write',
        );
      }
      if (call.isBusy) refused.set(task, call);
      else refused.delete(task);
    });
    world.listeners.releasing.push((task, { lock }) => {
      const td = tds.hasTds ? tds.ofLock(lock) : null;
      if (td?.barred?.task !== task) return;
      report.violated(
        { line: world.e.line, task, vm: td.vm },
        'releases mmu_lock while vCPUs are barred from the guest',
        [{ line: td.barred.line, what: 'they were barred' }],
      );
    });
    world.listeners.forgetting.push(() => refused.clear());
  },
};

export default rule;
