/** K39 in a trace: zaps and the invalidations that must count them. */
import { continues } from '../state/locks.ts';
import type { Task } from '../state/task.ts';
import { rangeText } from './gfns.ts';
import type { TraceRule } from './rule.ts';

const NOTIFIERS: TraceRule = {
  id: 'K39',
  needs: ['unmap_gfn_range', 'zap_leafs'],
  watch: (world, report, { notifiers }) => {
    world.on('unmap_gfn_range', (e, task) => {
      const vm = world.vmOf(e, task);
      if (notifiers.of(vm, task) === undefined) return;
      report.exercised(vm);
      if (e.low('inprog') > 0) return;
      report.violated(
        { line: e.line, task, vm },
        'unmaps a range while KVM counts no active invalidation',
      );
    });
  },
};

/** A zap outside a notifier is an invalidation of all GFNs that it zaps. */
const ZAPS: TraceRule = {
  id: 'K39',
  needs: ['zap_leafs', 'unmap_range', 'unmap_range_ret', 'inv_add'],
  watch: (world, report) => {
    const unmapping = new Set<Task>();
    const begun = new Map<Task, { readonly start: number; readonly end: number }[]>();
    world.listeners.forgetting.push(() => [unmapping, begun].forEach((known) => known.clear()));
    world.on('unmap_range', (_, task) => unmapping.add(task));
    world.on('unmap_range_ret', (_, task) => unmapping.delete(task));
    world.listeners.acquired.push((task, hold) => {
      if (!continues(hold)) begun.set(task, []);
    });
    world.on('inv_add', (e, task) =>
      begun.get(task)?.push({ start: e.number('start'), end: e.number('end') }),
    );
    world.on('zap_leafs', (e, task) => {
      const ranges = begun.get(task);
      if (unmapping.has(task) || ranges === undefined) return;
      const vm = world.vmOf(e, task);
      report.exercised(vm);
      const [start, end] = [e.number('start'), e.number('end')];
      if (ranges.some((range) => range.start <= start && range.end >= end)) return;
      report.violated(
        { line: e.line, task, vm },
        `zaps ${rangeText({ start, end })} outside an invalidation of that range`,
      );
    });
  },
};

export default [NOTIFIERS, ZAPS] satisfies readonly TraceRule[];
