/** K58 in a trace: what the handler of a private fault leaves behind, and when it retries. */
import { isPresent, LEAF } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { mirrorAt, type Td } from '../tdx/td.ts';
import { gfnText } from './gfns.ts';
import { covers, onMirrorChange } from './mirror.ts';
import type { TraceRule } from './rule.ts';

/** A fault that is being handled. */
interface Fault {
  readonly gfn: number;
  readonly line: number;
  resolved: boolean;
  /** A pending event or signal wants the vCPU. */
  wanted: boolean;
}

/** A fault whose handler returned to the guest without resolving it, and the event of that. */
interface Unresolved {
  readonly fault: Fault;
  readonly td: Td;
  readonly task: Task;
  readonly line: number;
  readonly text: string;
}

const isSlotGoing = (td: Td, gfn: number): boolean =>
  td.slots.some(({ start, end }) => gfn >= start && gfn < end);

const rule: TraceRule = {
  id: 'K58',
  needs: ['chg', 'tdp_fault', 'tdx_handle_exit', 'tdx_handle_exit_ret', 'has_events_ret'],
  watch: (world, report, { tds }) => {
    const faults = new Map<Task, Fault>();
    /**
     * A fault may see that its memslot is being deleted before an event shows the deletion, which
     * waits for the faults that did not see it. So a violation is reported later.
     */
    let unresolved: Unresolved[] = [];
    const close = ({ fault, td, ...where }: Unresolved): void => {
      report.violated(
        { ...where, vm: td.vm, unless: ['slot', 'request'] },
        `re-enters the guest with ${gfnText(fault.gfn)} unmapped, so the same fault follows`,
        [{ line: fault.line, what: 'the fault' }],
      );
    };
    world.on('slot', () => {
      unresolved = unresolved.filter(({ td, fault }) => !isSlotGoing(td, fault.gfn));
    });
    world.listeners.ending.push(() => unresolved.forEach(close));
    world.on('tdx_handle_exit', (_, task) => faults.delete(task));
    world.on('tdp_fault', (e, task) => {
      const td = tds.of(world.vmOf(e, task));
      const gfn = e.number('gfn');
      const fault = faults.get(task);
      if (fault === undefined) {
        const found = mirrorAt(td, world, gfn);
        faults.set(task, {
          gfn,
          line: e.line,
          resolved: found === null || isPresent(found.kind),
          wanted: false,
        });
      } else if (fault.wanted) {
        report.violated(
          { line: e.line, task, vm: td.vm },
          'retries the fault although a pending event or signal wants the vCPU',
          [{ line: fault.line, what: 'the first time' }],
        );
      }
    });
    world.on('has_events_ret', (e, task) => {
      const fault = faults.get(task);
      if (fault !== undefined && e.low('ret') !== 0) fault.wanted = true;
    });
    onMirrorChange(tds, (c) => {
      if (c.newKind !== LEAF) return;
      for (const fault of faults.values()) if (covers(c, fault.gfn)) fault.resolved = true;
      // a new mapping shows that the memslot was not being deleted
      for (const each of unresolved) if (covers(c, each.fault.gfn)) close(each);
      unresolved = unresolved.filter(({ fault }) => !covers(c, fault.gfn));
    });
    world.on('tdx_handle_exit_ret', (e, task) => {
      const fault = faults.get(task);
      const td = tds.ofTask(task);
      faults.delete(task);
      if (fault === undefined || td === null) return;
      report.exercised(td.vm);
      const isOver = e.low('ret') === 0 || fault.resolved || fault.wanted;
      if (isOver || td.isDead || isSlotGoing(td, fault.gfn)) return;
      unresolved.push({ fault, td, task, line: e.line, text: e.text() });
    });
    world.listeners.forgetting.push(() => {
      faults.clear();
      unresolved = [];
    });
  },
};

export default rule;
