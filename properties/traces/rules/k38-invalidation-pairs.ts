/** K38 in a trace: numbers of invalidations, begun and ended, and the lock at their end. */
import type { TraceEvent } from '../reader/event.ts';
import { EXCLUSIVE, type Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import { invalidationCause, Sequence } from './invalidations.ts';
import { LOCK_PAIRS, type TraceRule } from './rule.ts';

const rule: TraceRule = {
  id: 'K38',
  needs: ['inv_end', 'wl_ret'],
  pairs: LOCK_PAIRS,
  watch: (world, report, { notifiers }) => {
    const sequence = new Sequence(world);
    world.on(['unmap_gfn_range', 'inv_end'], (e, task) => {
      const vm = world.vmOf(e, task);
      const [seq, expected] = [e.number('seq'), sequence.of(vm)];
      report.exercised(vm);
      if (expected !== null && seq !== expected) {
        report.violated(
          { line: e.line, task, vm },
          `the sequence number is ${seq}, but ${expected} invalidations have ended`,
        );
      }
      sequence.set(vm, seq);
    });
    const count = (vm: Vm, task: Task, e: TraceEvent): void => {
      const active = notifiers.activeIn(vm);
      if (!e.has('inprog') || e.low('inprog') >= active.length) return;
      report.violated(
        { line: e.line, task, vm },
        `KVM counts ${e.low('inprog')} active invalidations, but ${active.length} are active`,
        active.map(invalidationCause),
      );
    };
    world.on('unmap_gfn_range', (e, task) => count(world.vmOf(e, task), task, e));
    notifiers.ending.push(({ vm, task }, e) => count(vm, task, e));
    world.on('inv_end', (e, task) => {
      const vm = world.vmOf(e, task);
      sequence.set(vm, e.number('seq') + 1);
      if (!world.recordsLocksOf(task, vm) || task.holdOn(vm.id)?.mode === EXCLUSIVE) return;
      report.violated(
        { line: e.line, task, vm },
        'ends an invalidation without mmu_lock held for write',
      );
    });
  },
};

export default rule;
