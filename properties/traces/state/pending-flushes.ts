/** What has to be flushed from the TLBs: who owes it since when, for which GFNs, and until when. */
import { isYield } from './locks.ts';
import type { Table } from './table.ts';
import type { Hold, Task } from './task.ts';
import type { Vm } from './vm.ts';
import type { World } from './world.ts';

/**
 * `unlock`: before mmu_lock is let go. `lock`: before the task takes it again, which is the next
 * that is seen of it.
 */
export type Due = 'unlock' | 'lock';

export interface Debt {
  readonly rule: string;
  readonly due: Due;
  readonly vm: Vm;
  readonly line: number;
  start: number;
  /** The first GFN behind it. */
  end: number;
  /** Under which it changed; null for all that are valid. */
  readonly root: Table | null;
  /** Which of the ranges of an invalidation it is for; 0 when it is for none. */
  readonly range: number;
}

/** A debt that stands, with the first change that it is for. */
export type Owed = Debt & { readonly what: string };

/**
 * A flush of a range: whether there was one of everything instead, as hardware may need, is known
 * when it returns.
 */
interface RangeFlush {
  readonly line: number;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** An event at which debts are due. */
export interface DueAt {
  readonly line: number;
  readonly text: string;
}

export interface DebtListeners {
  readonly owing: ((debt: Debt) => void)[];
  /** It was not paid when it was due. */
  readonly unpaid: ((debt: Owed, task: Task, at: DueAt) => void)[];
  /** A flush of a range did not cover it. */
  readonly missed: ((debt: Owed, task: Task, flush: RangeFlush) => void)[];
  /** A flush of a range by who owes one. */
  readonly covering: ((vm: Vm) => void)[];
}

export class Debts {
  readonly listeners: DebtListeners = { owing: [], unpaid: [], missed: [], covering: [] };
  private readonly owed = new Map<Task, Owed[]>();
  private readonly ranges = new Map<Task, RangeFlush>();
  /**
   * Where a task let go of the lock, and owes what may wait if it did that only to let others have
   * it.
   */
  private readonly waiting = new Map<Task, DueAt>();
  private readonly world: World;
  /**
   * Whether a debt for this range of an invalidation may be paid later than mmu_lock is let go of
   * in between.
   */
  private readonly mayWait: (task: Task, debt: Debt) => boolean;

  constructor(world: World, mayWait: (task: Task, debt: Debt) => boolean) {
    this.world = world;
    this.mayWait = mayWait;
    world.on('flush', (_, task) => {
      // nobody flushes while he lets others have the lock: he was through
      if (this.waiting.has(task)) this.settleWaiting(task);
      this.ranges.delete(task);
      this.owed.delete(task);
    });
    world.on('flush_range', (e, task) => {
      const [start, n] = [e.number('gfn'), e.number('n')];
      for (const debt of this.owed.get(task) ?? [])
        for (const listener of this.listeners.covering) listener(debt.vm);
      this.ranges.set(task, { line: e.line, text: e.text(), start, end: start + n });
    });
    world.on('flush_range_ret', (_, task) => this.settleRange(task));
    // nobody who works on a VM is under way any more when it goes
    world.on(['zap_all', 'vm_uninit'], (e, task) => this.onEnd(world.vmOf(e, task)));
    world.listeners.releasing.push((task, hold) => this.onRelease(task, hold));
    world.listeners.acquired.push((task, hold) => this.onAcquired(task, hold));
    world.listeners.forgetting.push(() => {
      this.owed.clear();
      this.ranges.clear();
      this.waiting.clear();
    });
  }

  /**
   * `task` owes a flush; what it owes already for the same reason grows. `what` is asked of a new
   * debt only.
   */
  owe(task: Task, debt: Debt, what: () => string): void {
    for (const listener of this.listeners.owing) listener(debt);
    const owed = this.owed.get(task);
    const same = owed?.find(
      ({ rule, due, vm, root, range }) =>
        rule === debt.rule &&
        due === debt.due &&
        vm === debt.vm &&
        root === debt.root &&
        range === debt.range,
    );
    if (same !== undefined) {
      same.start = Math.min(same.start, debt.start);
      same.end = Math.max(same.end, debt.end);
    } else if (owed === undefined) this.owed.set(task, [{ ...debt, what: what() }]);
    else owed.push({ ...debt, what: what() });
  }

  /** What is owed for an invalidation that ends is due. */
  endOf(task: Task, vm: Vm): void {
    this.call(task, (debt) => debt.vm === vm && debt.range > 0);
  }

  private settleRange(task: Task): void {
    const flush = this.ranges.get(task);
    const owed = this.owed.get(task);
    this.ranges.delete(task);
    if (flush === undefined || owed === undefined) return;
    const missed = owed.filter(({ start, end }) => start < flush.start || end > flush.end);
    for (const debt of missed)
      for (const listener of this.listeners.missed) listener(debt, task, flush);
    this.owed.set(task, missed);
  }

  private onRelease(task: Task, { lock }: Hold): void {
    const owed = this.owed.get(task);
    if (owed === undefined) return;
    const isDue = (debt: Debt): boolean => debt.vm.id === lock && debt.due === 'unlock';
    this.call(task, (debt) => isDue(debt) && !this.mayWait(task, debt));
    if (owed.some((debt) => isDue(debt) && this.mayWait(task, debt)))
      this.waiting.set(task, this.now());
  }

  private onAcquired(task: Task, hold: Hold): void {
    if (isYield(hold)) {
      this.waiting.delete(task);
      return;
    }
    if (this.waiting.has(task)) this.settleWaiting(task);
    if (this.owed.has(task))
      this.call(task, (debt) => debt.vm.id === hold.lock && debt.due === 'lock');
  }

  private settleWaiting(task: Task): void {
    const at = this.waiting.get(task);
    this.waiting.delete(task);
    this.call(task, ({ range }) => range > 0, at);
  }

  private now(): DueAt {
    const { e } = this.world;
    return { line: e.line, text: e.text() };
  }

  private onEnd(vm: Vm): void {
    for (const task of this.owed.keys())
      this.call(task, (debt) => debt.vm === vm && debt.due === 'lock');
  }

  /** What is due is gone, paid or not. */
  private call(task: Task, isDue: (debt: Debt) => boolean, at?: DueAt): void {
    const owed = this.owed.get(task);
    if (owed === undefined) return;
    const due = owed.filter(isDue);
    if (due.length === 0) return;
    this.owed.set(
      task,
      owed.filter((debt) => !isDue(debt)),
    );
    for (const debt of due) {
      // that it is invalid was told only afterwards
      if (debt.root?.invalid === true && !this.world.hasSeen('inval_roots')) continue;
      for (const listener of this.listeners.unpaid) listener(debt, task, at ?? this.now());
    }
  }
}
