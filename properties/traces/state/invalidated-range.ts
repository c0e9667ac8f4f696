/**
 * The range that faults are checked against: KVM keeps one range for all invalidations under way,
 * notifiers' and its own, with every GFN between them, until none is left. Source: kvm_main.c,
 * kvm_mmu_invalidate_range_add.
 */
import type { TraceEvent } from '../reader/event.ts';
import type { Notifiers } from './notifiers.ts';
import type { Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

export interface InvalidatedRange {
  /** Line at which each task began its invalidation. */
  readonly begun: Map<Task, number>;
  start: number;
  /** The first GFN after the range. */
  end: number;
}

/** Follows the ranges of VMs with an invalidation under way. */
export function followInvalidatedRanges(
  world: World,
  notifiers: Notifiers,
): ReadonlyMap<Vm, InvalidatedRange> {
  const ranges = new Map<Vm, InvalidatedRange>();
  const add = (e: TraceEvent, task: Task): void => {
    const vm = world.vmOf(e, task);
    // KVM also unmaps the ranges of deleted memslots, which are no invalidations
    if (e.has('inprog') && notifiers.of(vm, task) === undefined) return;
    const known = ranges.get(vm) ?? {
      begun: new Map<Task, number>(),
      start: e.number('start'),
      end: e.number('end'),
    };
    if (!known.begun.has(task)) known.begun.set(task, e.line);
    known.start = Math.min(known.start, e.number('start'));
    known.end = Math.max(known.end, e.number('end'));
    ranges.set(vm, known);
  };
  world.onState(['unmap_gfn_range', 'inv_add'], add);
  world.onState('inv_end', (e, task) => {
    const vm = world.vmOf(e, task);
    const known = ranges.get(vm);
    known?.begun.delete(task);
    if (known?.begun.size === 0) ranges.delete(vm);
  });
  world.onState(['zap_all', 'vm_uninit'], (e, task) => ranges.delete(world.vmOf(e, task)));
  world.listeners.forgetting.pushState(() => ranges.clear());
  return ranges;
}
