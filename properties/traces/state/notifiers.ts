/**
 * Invalidations: what the primary MMU takes back, and until when. One begins with mmu_lock held for
 * write, which the kernel does not tell of by itself: it has begun when the first range is
 * unmapped; and ends with `inv_end`, or, where that is not probed, with the lock that its end
 * takes.
 */
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import type { Hold, Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

export interface Range {
  readonly start: number;
  /** The first GFN behind it. */
  readonly end: number;
  readonly line: number;
  /** The address space that it is of, where that is told; those whose roots were walked for it. */
  readonly asIds: Set<number>;
  /** The addresses of those roots, as far as they are told. */
  readonly sps: Set<number>;
}

export interface Invalidation {
  readonly vm: Vm;
  readonly task: Task;
  readonly line: number;
  readonly ranges: Range[];
}

const [STARTS, ENDS] = ['start', 'end'].map((which) =>
  hashOfText(`kvm_mmu_notifier_invalidate_range_${which}`),
);

export class Notifiers {
  /** By VM, those that are going on. */
  private readonly going = new Map<Vm, Invalidation[]>();
  private readonly starting = new Set<Task>();
  /** It is still among those that are going on. */
  readonly ending: ((invalidation: Invalidation, e: TraceEvent) => void)[] = [];

  constructor(world: World) {
    world.listeners.acquired.push((task, hold) => this.onAcquired(world, task, hold));
    world.on('unmap_gfn_range', (e, task) => this.onRange(world, e, task));
    world.on('zap_leafs', (e, task) => {
      // 6.1 does not tell of the range, but of each walk through a root for it
      if (!world.hasSeen('unmap_gfn_range')) this.onRange(world, e, task);
      const root = task.walk;
      const range = root === null ? undefined : this.of(root.vm, task)?.ranges.at(-1);
      if (root !== null) range?.asIds.add(root.asId);
      if (task.vm !== null) this.of(task.vm, task)?.ranges.at(-1)?.sps.add(task.walkSp);
    });
    world.on('inv_end', (e, task) => this.onEnd(world.vmOf(e, task), task, e));
    world.listeners.forgetting.push(() => {
      this.going.clear();
      this.starting.clear();
    });
  }

  activeIn(vm: Vm): readonly Invalidation[] {
    return this.going.get(vm) ?? [];
  }

  of(vm: Vm, task: Task): Invalidation | undefined {
    return this.going.get(vm)?.find((invalidation) => invalidation.task === task);
  }

  private onAcquired(world: World, task: Task, { caller, lock }: Hold): void {
    if (caller === STARTS) this.starting.add(task);
    if (caller !== ENDS) return;
    this.starting.delete(task);
    const vm = world.vms.get(lock);
    if (vm !== undefined && !world.hasSeen('inv_end') && !world.hasSeen('unmap_gfn_range'))
      this.onEnd(vm, task, world.e);
  }

  private onRange(world: World, e: TraceEvent, task: Task): void {
    const vm = world.vmOf(e, task);
    if (!this.starting.has(task)) return;
    const asIds = new Set(e.has('as_id') ? [e.number('as_id')] : []);
    const range: Range = {
      start: e.number('start'),
      end: e.number('end'),
      line: e.line,
      asIds,
      sps: new Set(),
    };
    const known = this.of(vm, task);
    if (known !== undefined) {
      known.ranges.push(range);
      return;
    }
    const invalidation = { vm, task, line: e.line, ranges: [range] };
    const going = this.going.get(vm);
    if (going === undefined) this.going.set(vm, [invalidation]);
    else going.push(invalidation);
  }

  private onEnd(vm: Vm, task: Task, e: TraceEvent): void {
    const invalidation = this.of(vm, task);
    if (invalidation === undefined) return;
    for (const listener of this.ending) listener(invalidation, e);
    this.going.set(
      vm,
      this.activeIn(vm).filter((other) => other !== invalidation),
    );
  }
}
