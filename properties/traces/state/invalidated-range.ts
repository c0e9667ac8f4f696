/**
 * What is being invalidated, as a fault has to ask: KVM keeps one range for all invalidations that
 * are under way, notifiers' and its own, with whatever lies between them, until none is. Source:
 * kvm_main.c, kvm_mmu_invalidate_range_add.
 */
import type { TraceEvent } from '../reader/event.ts';
import type { Notifiers } from './notifiers.ts';
import type { Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

export interface Underway {
  /** Who began each, and where. */
  readonly begun: Map<Task, number>;
  start: number;
  /** The first GFN behind it. */
  end: number;
}

/** By VM, as long as there is something. To be asked before the present event changes it. */
export function followUnderway(world: World, notifiers: Notifiers): ReadonlyMap<Vm, Underway> {
  const underway = new Map<Vm, Underway>();
  const add = (e: TraceEvent, task: Task): void => {
    const vm = world.vmOf(e, task);
    // KVM unmaps ranges that are no invalidations, of memslots that go
    if (e.has('inprog') && notifiers.of(vm, task) === undefined) return;
    const known = underway.get(vm) ?? {
      begun: new Map<Task, number>(),
      start: e.number('start'),
      end: e.number('end'),
    };
    if (!known.begun.has(task)) known.begun.set(task, e.line);
    known.start = Math.min(known.start, e.number('start'));
    known.end = Math.max(known.end, e.number('end'));
    underway.set(vm, known);
  };
  world.on(['unmap_gfn_range', 'inv_add'], add);
  world.on('inv_end', (e, task) => {
    const vm = world.vmOf(e, task);
    const known = underway.get(vm);
    known?.begun.delete(task);
    if (known?.begun.size === 0) underway.delete(vm);
  });
  world.on(['zap_all', 'vm_uninit'], (e, task) => underway.delete(world.vmOf(e, task)));
  world.listeners.forgetting.push(() => underway.clear());
  return underway;
}
