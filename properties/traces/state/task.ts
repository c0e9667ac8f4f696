/** A task: the locks that it holds, the VM that it works on, and the walk that it is in. */
import type { Table } from './table.ts';
import type { Vm } from './vm.ts';

export const SHARED = 1;
export const EXCLUSIVE = 2;
export type Mode = typeof SHARED | typeof EXCLUSIVE;

export interface Hold {
  /** Address of the lock, which is that of the VM. */
  readonly lock: number;
  readonly mode: Mode;
  /** Line at which the task acquired it. */
  readonly line: number;
  /** Hash of the name of the function that acquired it. */
  readonly caller: number;
}

export class Task {
  readonly pid: number;
  /** Name and id. */
  readonly name: string;
  readonly holds: Hold[] = [];
  /** Lock that it waits for: some kernels do not repeat the address when it is acquired. */
  attempt = 0;
  /** Whether lock events are recorded for this task. If not, no hold does not mean no lock. */
  locksSeen = false;
  /** Line of its last event before the present one. */
  lastLine = 0;
  /** VM that its last event is about. */
  vm: Vm | null = null;
  /** VM that it runs a vCPU of. Its events can be about another VM of the same process. */
  runs: Vm | null = null;
  /** Root that it walks. */
  walk: Table | null = null;
  /** Address of that root's struct kvm_mmu_page, where events have it, or 0. */
  walkSp = 0;
  /** Tables that it has unlinked and walks. */
  readonly removing: Table[] = [];
  /** Physical address of the root of the fast page fault that it handles, or 0. */
  faultRoot = 0;
  /** Line at which it began to map a page for a fault, or 0. */
  mapLine = 0;

  /** Name without the id, by which ftrace can filter events. */
  get comm(): string {
    return this.name.slice(0, this.name.lastIndexOf('-'));
  }

  constructor(pid: number, name: string) {
    this.pid = pid;
    this.name = name;
  }

  holdOn(lock: number): Hold | null {
    for (const hold of this.holds) if (hold.lock === lock) return hold;
    return null;
  }
}
