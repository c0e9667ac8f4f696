/** State of each task of a run that its events depend on. */
import type { Machine } from '../../../spec/machine/machine.ts';

/** Writers that bypass the function with the probe `chg`. Each has its own event. */
export type Lockless = 'fault' | 'age' | 'report';

export class TaskState {
  /** Modes of mmu_lock that its functions assume, innermost last: true for read. */
  readonly shared: boolean[] = [];
  lockless: Lockless | null = null;
  /** Half of a notifier that it is in. */
  notifier: 'start' | 'end' | null = null;
  /** It yields mmu_lock, and will acquire it again. */
  yields = false;
}

export class Tasks {
  private readonly m: Machine;
  private readonly tasks = new Map<number, TaskState>();

  constructor(m: Machine) {
    this.m = m;
    m.clearOnReset(this.tasks);
  }

  /** State of the current task. */
  get mine(): TaskState {
    const known = this.tasks.get(this.m.current) ?? new TaskState();
    this.tasks.set(this.m.current, known);
    return known;
  }
}
