/** A task as the trace tells of it: the locks that it holds, and what it is about. */
import type { Table } from './table.ts';
import type { Vm } from './vm.ts';

export const SHARED = 1;
export const EXCLUSIVE = 2;
export type Mode = typeof SHARED | typeof EXCLUSIVE;

export interface Hold {
  /** Address of the lock, which is that of the VM. */
  readonly lock: number;
  readonly mode: Mode;
  /** Where it was acquired. */
  readonly line: number;
  /** The hash of the name of the function that acquired it. */
  readonly caller: number;
}

export class Task {
  readonly pid: number;
  /** Name and id. */
  readonly name: string;
  readonly holds: Hold[] = [];
  /** The lock that it waits for; some kernels do not repeat the address when it is acquired. */
  attempt = 0;
  /** Events of locks are recorded for this task: without them, holding none means nothing. */
  locksSeen = false;
  /** Its last event before the present one. */
  lastLine = 0;
  /** The VM that it was last seen to work on. */
  vm: Vm | null = null;
  /** The VM that it runs a vCPU of; what it does may be about another one that the same process has. */
  runs: Vm | null = null;
  /** Root of the walk that it is in. */
  walk: Table | null = null;
  /**
   * Address of that root's struct kvm_mmu_page, where roots are known by it; 0 when it does not
   * say.
   */
  walkSp = 0;
  /** Tables that it has unlinked and is going through. */
  readonly removing: Table[] = [];
  /** Since when it maps a page for a fault, or 0. */
  mapLine = 0;

  /** Name without id, by which events are filtered. */
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
