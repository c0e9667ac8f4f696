/**
 * TLB flushes that tasks still have to perform: which task, since when, for which GFNs, and by
 * when.
 */
import { continues } from './locks.ts';
import type { Table } from './table.ts';
import type { Hold, Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

/**
 * - `unlock`: before the task releases mmu_lock.
 * - `lock`: before the task acquires mmu_lock again, its next event that a trace is sure to have.
 */
export type Deadline = 'unlock' | 'lock';

export interface RequiredFlush {
  readonly rule: string;
  readonly deadline: Deadline;
  readonly vm: Vm;
  readonly line: number;
  start: number;
  /** The first GFN after the range. */
  end: number;
  /** Root under which entries changed; null stands for every valid root. */
  readonly root: Table | null;
  /** Number of the invalidation's range that the flush is for, from 1; 0 outside invalidations. */
  readonly range: number;
  /** A flush of exactly these GFNs just before the event of the change is the one. */
  readonly mayPrecede: boolean;
}

/** A required flush that has not happened yet. `what` is the first change that requires it. */
export type PendingFlush = RequiredFlush & { readonly what: string };

/**
 * A ranged flush that has begun. Hardware may need a full flush instead: an event of one can follow
 * before the ranged flush returns.
 */
interface RangeFlush {
  readonly line: number;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The event at which the deadline of a flush passed. */
export interface DeadlineEvent {
  readonly line: number;
  readonly text: string;
}

export interface FlushListeners {
  readonly required: ((flush: RequiredFlush) => void)[];
  /** The deadline passed without a flush. */
  readonly overdue: ((flush: PendingFlush, task: Task, at: DeadlineEvent) => void)[];
  /** A ranged flush of the task did not cover the GFNs of a pending flush. */
  readonly uncovered: ((flush: PendingFlush, task: Task, range: RangeFlush) => void)[];
  /** A task with a pending flush begins a ranged flush. */
  readonly rangeBegan: ((vm: Vm) => void)[];
}

export class PendingFlushes {
  readonly listeners: FlushListeners = {
    required: [],
    overdue: [],
    uncovered: [],
    rangeBegan: [],
  };
  private readonly pending = new Map<Task, PendingFlush[]>();
  private readonly ranges = new Map<Task, RangeFlush>();
  /** Ranges that tasks have flushed since their last change of an entry. */
  private readonly flushed = new Map<Task, RangeFlush>();
  /**
   * Release of mmu_lock by a task whose flushes may be deferred if the release turns out to be a
   * yield.
   */
  private readonly deferred = new Map<Task, DeadlineEvent>();
  private readonly world: World;
  /** Whether a flush for this range of an invalidation may follow a yield of mmu_lock. */
  private readonly mayDefer: (task: Task, flush: RequiredFlush) => boolean;

  constructor(world: World, mayDefer: (task: Task, flush: RequiredFlush) => boolean) {
    this.world = world;
    this.mayDefer = mayDefer;
    world.onState('flush', (_, task) => {
      // a task never flushes while it yields mmu_lock, so the walk had already ended
      if (this.deferred.has(task)) this.expireDeferred(task);
      const range = this.ranges.get(task);
      if (range !== undefined) this.flushed.set(task, range);
      this.ranges.delete(task);
      this.pending.delete(task);
    });
    world.onState('flush_range', (e, task) => {
      const [start, n] = [e.number('gfn'), e.number('n')];
      for (const flush of this.pending.get(task) ?? [])
        for (const listener of this.listeners.rangeBegan) listener(flush.vm);
      this.ranges.set(task, { line: e.line, text: e.text(), start, end: start + n });
    });
    world.onState('flush_range_ret', (_, task) => this.endRange(task));
    // when a VM is destroyed, no task still works on it
    world.onState(['zap_all', 'vm_uninit'], (e, task) => this.onEnd(world.vmOf(e, task)));
    world.listeners.changing.push(({ task }) => this.flushed.delete(task));
    world.listeners.releasing.pushState((task, hold) => this.onRelease(task, hold));
    world.listeners.acquired.pushState((task, hold) => this.onAcquired(task, hold));
    world.listeners.forgetting.pushState(() => {
      this.pending.clear();
      this.ranges.clear();
      this.flushed.clear();
      this.deferred.clear();
    });
  }

  /**
   * Adds a flush that `task` has to perform. A pending flush for the same reason grows instead.
   * `what` is called for a new flush only.
   */
  require(task: Task, flush: RequiredFlush, what: () => string): void {
    for (const listener of this.listeners.required) listener(flush);
    if (flush.mayPrecede && this.hasJustFlushed(task, flush)) return;
    const pending = this.pending.get(task);
    const same = pending?.find(
      ({ rule, deadline, vm, root, range }) =>
        rule === flush.rule &&
        deadline === flush.deadline &&
        vm === flush.vm &&
        root === flush.root &&
        range === flush.range,
    );
    if (same !== undefined) {
      same.start = Math.min(same.start, flush.start);
      same.end = Math.max(same.end, flush.end);
    } else if (pending === undefined) this.pending.set(task, [{ ...flush, what: what() }]);
    else pending.push({ ...flush, what: what() });
  }

  /** Whether the task has flushed exactly these GFNs since its last change of an entry. */
  private hasJustFlushed(task: Task, { start, end }: RequiredFlush): boolean {
    const flushed = this.flushed.get(task);
    return flushed?.start === start && flushed.end === end;
  }

  /** The end of an invalidation is the deadline of every flush that it requires. */
  endInvalidation(task: Task, vm: Vm): void {
    this.expire(task, (flush) => flush.vm === vm && flush.range > 0);
  }

  private endRange(task: Task): void {
    const range = this.ranges.get(task);
    const pending = this.pending.get(task);
    this.ranges.delete(task);
    if (range === undefined) return;
    this.flushed.set(task, range);
    if (pending === undefined) return;
    const uncovered = pending.filter(({ start, end }) => start < range.start || end > range.end);
    for (const flush of uncovered)
      for (const listener of this.listeners.uncovered) listener(flush, task, range);
    this.pending.set(task, uncovered);
  }

  private onRelease(task: Task, { lock }: Hold): void {
    const pending = this.pending.get(task);
    if (pending === undefined) return;
    const isDue = (flush: RequiredFlush): boolean =>
      flush.vm.id === lock && flush.deadline === 'unlock';
    this.expire(task, (flush) => isDue(flush) && !this.mayDefer(task, flush));
    if (pending.some((flush) => isDue(flush) && this.mayDefer(task, flush)))
      this.deferred.set(task, this.now());
  }

  private onAcquired(task: Task, hold: Hold): void {
    if (continues(hold)) {
      this.deferred.delete(task);
      return;
    }
    if (this.deferred.has(task)) this.expireDeferred(task);
    if (this.pending.has(task))
      this.expire(task, (flush) => flush.vm.id === hold.lock && flush.deadline === 'lock');
  }

  private expireDeferred(task: Task): void {
    const at = this.deferred.get(task);
    this.deferred.delete(task);
    this.expire(task, ({ range }) => range > 0, at);
  }

  private now(): DeadlineEvent {
    const { e } = this.world;
    return { line: e.line, text: e.text() };
  }

  private onEnd(vm: Vm): void {
    for (const task of this.pending.keys())
      this.expire(task, (flush) => flush.vm === vm && flush.deadline === 'lock');
  }

  /** Removes the task's flushes that are due, and reports them overdue. */
  private expire(task: Task, isDue: (flush: RequiredFlush) => boolean, at?: DeadlineEvent): void {
    const pending = this.pending.get(task);
    if (pending === undefined) return;
    const due = pending.filter(isDue);
    if (due.length === 0) return;
    this.pending.set(
      task,
      pending.filter((flush) => !isDue(flush)),
    );
    for (const flush of due) {
      // without inval_roots, the root became invalid before an event showed it
      if (flush.root?.invalid === true && !this.world.hasSeen('inval_roots')) continue;
      for (const listener of this.listeners.overdue) listener(flush, task, at ?? this.now());
    }
  }
}
