/** What each task of a run is doing, as far as the events that it causes depend on it. */
import type { Machine } from '../../../spec/machine/machine.ts';

/** Those who change entries past the function that tells of changes, each with an event of its own. */
export type Lockless = 'fault' | 'age' | 'report';

export class TaskState {
  /**
   * The modes of mmu_lock that the functions that it is in rely on, the innermost last: true is
   * read.
   */
  readonly shared: boolean[] = [];
  lockless: Lockless | null = null;
  /** Which half of a notifier it is in. */
  notifier: 'start' | 'end' | null = null;
  /** It has let mmu_lock go for others, and will take it again. */
  yields = false;
}

export class Tasks {
  private readonly m: Machine;
  private readonly tasks = new Map<number, TaskState>();

  constructor(m: Machine) {
    this.m = m;
    m.clearOnReset(this.tasks);
  }

  /** The current one. */
  get mine(): TaskState {
    const known = this.tasks.get(this.m.current) ?? new TaskState();
    this.tasks.set(this.m.current, known);
    return known;
  }
}
