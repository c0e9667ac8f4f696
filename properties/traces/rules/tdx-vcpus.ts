/** K57 to K59: exits of a TD's vCPUs, the faults among them, and entries that the module refuses. */
import { OPERAND_BUSY, toRax } from '../../../spec/tdx/status.ts';
import { isPresent, LEAF } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import { mirrorAt, type Td } from '../tdx/td.ts';
import type { TraceRule } from './rule.ts';
import { covers, onMirror } from './tdx-mirror.ts';

const BUSY = Number(toRax(OPERAND_BUSY) >> 32n) | 0;

/** vCPUs whose last try to enter was refused, and where. */
type Refused = Map<Task, number>;

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

export default [K57, K58, K59] satisfies readonly TraceRule[];
