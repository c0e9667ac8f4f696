import { isPresent, LEAF } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { mirrorAt, type Td } from '../tdx/td.ts';
import { covers, onMirror } from './mirror.ts';
import type { TraceRule } from './rule.ts';

/** A fault that is being handled. */
interface Fault {
  readonly gfn: number;
  readonly line: number;
  resolved: boolean;
  /** Something else wants the vCPU. */
  wanted: boolean;
}

/** A fault that was left as it was: where that was told. */
interface Left {
  readonly fault: Fault;
  readonly td: Td;
  readonly task: Task;
  readonly line: number;
  readonly text: string;
}

const isSlotGoing = (td: Td, gfn: number): boolean =>
  td.slots.some(({ start, end }) => gfn >= start && gfn < end);

const K58: TraceRule = {
  id: 'K58',
  needs: ['chg', 'tdp_fault', 'tdx_handle_exit', 'tdx_handle_exit_ret', 'has_events_ret'],
  watch: (world, report, { tds }) => {
    const faults = new Map<Task, Fault>();
    /**
     * A memslot that goes is marked first, which faults see, and told of when all that saw it
     * otherwise are over.
     */
    let left: Left[] = [];
    const close = ({ fault, td, ...where }: Left): void => {
      report.violated(
        { ...where, vm: td.vm, unless: ['slot', 'request'] },
        `the vCPU goes back to the guest, and GFN 0x${fault.gfn.toString(16)} is not mapped: the same fault is ahead of it`,
        [{ line: fault.line, what: 'the fault' }],
      );
    };
    world.on('slot', () => {
      left = left.filter(({ td, fault }) => !isSlotGoing(td, fault.gfn));
    });
    world.listeners.ending.push(() => left.forEach(close));
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
          'the fault is taken once more, and something else wants the vCPU',
          [{ line: fault.line, what: 'the first time' }],
        );
      }
    });
    world.on('has_events_ret', (e, task) => {
      const fault = faults.get(task);
      if (fault !== undefined && e.low('ret') !== 0) fault.wanted = true;
    });
    onMirror(tds, (c) => {
      if (c.newKind !== LEAF) return;
      for (const fault of faults.values()) if (covers(c, fault.gfn)) fault.resolved = true;
      // the slot was there
      for (const each of left) if (covers(c, each.fault.gfn)) close(each);
      left = left.filter(({ fault }) => !covers(c, fault.gfn));
    });
    world.on('tdx_handle_exit_ret', (e, task) => {
      const fault = faults.get(task);
      const td = tds.ofTask(task);
      faults.delete(task);
      if (fault === undefined || td === null) return;
      report.exercised(td.vm);
      if (
        e.low('ret') === 0 ||
        fault.resolved ||
        fault.wanted ||
        td.isDead ||
        isSlotGoing(td, fault.gfn)
      )
        return;
      left.push({ fault, td, task, line: e.line, text: e.text() });
    });
    world.listeners.forgetting.push(() => {
      faults.clear();
      left = [];
    });
  },
};

export default K58 satisfies TraceRule;
