/**
 * Invalidations by MMU notifiers: the ranges that the primary MMU reclaims, and until when. An
 * invalidation begins under mmu_lock held for write, which no event shows: it counts as begun when
 * its first range is unmapped. It ends with `inv_end` or, where that is not probed, when its second
 * half acquires mmu_lock. So it does in 6.1: the probe of `inv_end` attaches, but the notifier has
 * the function inlined, and only kvm_zap_gfn_range() hits it. Source: kvm_main.c of 6.1,
 * __kvm_handle_hva_range(); recorded.
 */
import type { TraceEvent } from '../reader/event.ts';
import { hashOfText } from '../reader/keys.ts';
import { Handlers } from './handlers.ts';
import type { Hold, Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

export interface Range {
  readonly start: number;
  /** The first GFN after the range. */
  readonly end: number;
  readonly line: number;
  /** Address spaces: that of the slot, where its event has it, and those of the roots walked. */
  readonly asIds: Set<number>;
  /** Addresses of the struct kvm_mmu_page of those roots, where events have them. */
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
  /** Invalidations under way, by VM. */
  private readonly active = new Map<Vm, Invalidation[]>();
  private readonly starting = new Set<Task>();
  /** Called when an invalidation ends, while it still counts as under way. */
  readonly ending = new Handlers<(invalidation: Invalidation, e: TraceEvent) => void>();

  constructor(world: World) {
    world.listeners.acquired.pushState((task, hold) => this.onAcquired(world, task, hold));
    world.onState('unmap_gfn_range', (e, task) => this.onRange(world, e, task));
    world.onState('zap_leafs', (e, task) => {
      // 6.1 has no event of the range, but one of each walk of a root for it
      if (!world.hasSeen('unmap_gfn_range')) this.onRange(world, e, task);
      const root = task.walk;
      const range = root === null ? undefined : this.of(root.vm, task)?.ranges.at(-1);
      if (root !== null) range?.asIds.add(root.asId);
      if (task.vm !== null) this.of(task.vm, task)?.ranges.at(-1)?.sps.add(task.walkSp);
    });
    world.onState('inv_end', (e, task) => this.onEnd(world.vmOf(e, task), task, e));
    world.listeners.forgetting.pushState(() => {
      this.active.clear();
      this.starting.clear();
    });
  }

  /** Invalidations of `vm` that are under way. */
  activeIn(vm: Vm): readonly Invalidation[] {
    return this.active.get(vm) ?? [];
  }

  /** The invalidation of `vm` that `task` performs. */
  of(vm: Vm, task: Task): Invalidation | undefined {
    return this.active.get(vm)?.find((invalidation) => invalidation.task === task);
  }

  private onAcquired(world: World, task: Task, { caller, lock }: Hold): void {
    if (caller === STARTS) this.starting.add(task);
    if (caller !== ENDS) return;
    this.starting.delete(task);
    const vm = world.vms.get(lock);
    const isShown =
      world.kernel?.namesTables !== false &&
      (world.hasSeen('inv_end') || world.hasSeen('unmap_gfn_range'));
    if (vm !== undefined && !isShown) this.onEnd(vm, task, world.e);
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
    const active = this.active.get(vm);
    if (active === undefined) this.active.set(vm, [invalidation]);
    else active.push(invalidation);
  }

  private onEnd(vm: Vm, task: Task, e: TraceEvent): void {
    const invalidation = this.of(vm, task);
    if (invalidation === undefined) return;
    for (const listener of this.ending.all) listener(invalidation, e);
    this.active.set(
      vm,
      this.activeIn(vm).filter((other) => other !== invalidation),
    );
  }
}
