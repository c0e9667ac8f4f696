/**
 * What a trace has told so far: VMs, tasks, tables. Whoever wants to know of events subscribes, the
 * account of state before the rules, so that a rule finds the state as it is after the event,
 * unless it says otherwise.
 */
import { kernelOfChange, type TracedKernel } from '../kernels/kernel.ts';
import { EVENT_KINDS, type EventName } from '../reader/event-table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { frameOfPhysical, ROOT_LEVEL } from './addresses.ts';
import type { BrokenChain, Change } from './change.ts';
import { ENTRIES } from './spte.ts';
import { Table } from './table.ts';
import { Task, type Hold } from './task.ts';
import { Vm } from './vm.ts';

export type OnEvent = (e: TraceEvent, task: Task) => void;

export interface Listeners {
  readonly created: ((vm: Vm) => void)[];
  /** An SPTE changes; the table does not have the new value yet. */
  readonly changing: ((c: Change) => void)[];
  /** The value that an SPTE had is not what was last written, and nothing explains it. */
  readonly chainBroken: ((b: BrokenChain) => void)[];
  readonly acquired: ((task: Task, hold: Hold) => void)[];
  /** The hold is still there. */
  readonly releasing: ((task: Task, hold: Hold) => void)[];
  /** A table's memory is given back; what it was is still there. */
  readonly freeing: ((table: Table, task: Task) => void)[];
  /** A table's page becomes another table's. */
  readonly reusing: ((table: Table, task: Task) => void)[];
  /** Events were lost, or the trace is over: what is pending comes to nothing. */
  readonly forgetting: (() => void)[];
  readonly ending: (() => void)[];
}

export class World {
  readonly e: TraceEvent;
  kernel: TracedKernel | null;
  readonly vms = new Map<number, Vm>();
  readonly tasks = new Map<number, Task>();
  /** Tables by the number of their page. */
  readonly tables = new Map<number, Table>();
  readonly listeners: Listeners = {
    created: [],
    changing: [],
    chainBroken: [],
    acquired: [],
    releasing: [],
    freeing: [],
    reusing: [],
    forgetting: [],
    ending: [],
  };
  /** Who holds which lock. */
  readonly holders = new Map<number, Set<Task>>();
  /** How often each kind of event was seen. */
  readonly seen: Float64Array = new Float64Array(EVENT_KINDS.length);
  /** Events were lost. */
  hasForgotten = false;
  /** Entries of a table; a model's are fewer than the hardware's. */
  entries = ENTRIES;
  /** Who holds mmu_lock can be preempted (PREEMPT_RT), so that RCU does not wait for him. */
  locksArePreempted = false;
  private readonly declared = new Set<string>();
  /** Events of locks are recorded for tasks of these names. */
  private readonly lockComms = new Set<string>();
  private nameless = 0;
  private readonly handlers: OnEvent[][] = EVENT_KINDS.map(() => []);
  private readonly ids = new Map<EventName, number>(EVENT_KINDS.map(({ name, id }) => [name, id]));

  constructor(e: TraceEvent, kernel: TracedKernel | null) {
    this.e = e;
    this.kernel = kernel;
  }

  on(names: EventName | readonly EventName[], handler: OnEvent): void {
    for (const name of typeof names === 'string' ? [names] : names)
      this.handlers[this.ids.get(name) ?? -1]?.push(handler);
  }

  /** Events of that name were seen, or would have been if there had been any. */
  hasSeen(name: EventName): boolean {
    return (this.seen[this.ids.get(name) ?? -1] ?? 0) > 0 || this.declared.has(name);
  }

  /** The comment that was read into `e` may say something of the trace. */
  declare(): void {
    const { e } = this;
    for (const name of e.declared('probes')) this.declared.add(name);
    for (const entries of e.declared('entries'))
      this.entries = Math.min(Number(entries) || ENTRIES, ENTRIES);
    if (e.declared('preemption').includes('rt')) this.locksArePreempted = true;
  }

  /** The event that was read into `e`. */
  handle(): void {
    const { e } = this;
    if (e.kind === null) return;
    this.seen[e.kind.id] = (this.seen[e.kind.id] ?? 0) + 1;
    if (this.kernel === null && e.kind.name === 'chg') this.recognise();
    const handlers = this.handlers[e.kind.id] ?? [];
    if (handlers.length === 0) return;
    const task = this.taskOf(e);
    for (const handler of handlers) handler(e, task);
    task.lastLine = e.line;
  }

  private recognise(): void {
    this.kernel = kernelOfChange(this.e);
    for (const table of this.tables.values())
      if (table.initialisedLine > 0) table.fill(this.kernel.layout.empty);
  }

  /** Who emitted an event; what an interrupt does, the task that it interrupts does not. */
  private taskOf(e: TraceEvent): Task {
    const ofCpu = e.inInterrupt || e.pid === 0;
    const key = ofCpu ? -1 - e.cpu : e.pid;
    const known = this.tasks.get(key);
    if (known !== undefined) return known;
    const task = new Task(key, ofCpu ? `interrupt on CPU ${e.cpu}` : e.task());
    this.tasks.set(key, task);
    return task;
  }

  noteLocksOf(task: Task): void {
    if (task.locksSeen) return;
    task.locksSeen = true;
    this.lockComms.add(task.comm);
  }

  /** Whether the task would be known to hold the VM's lock, if it did. */
  recordsLocksOf(task: Task, vm: Vm): boolean {
    const areDeclared = this.declared.has('rl_ret') && this.declared.has('wl_ret');
    return task.locksSeen || (vm.seenFromStart && (areDeclared || this.lockComms.has(task.comm)));
  }

  /** The VM that an event names. */
  vmOf(e: TraceEvent, task: Task): Vm {
    const id = e.number('kvm');
    const vm = this.vms.get(id) ?? this.newVm(id);
    task.vm = vm;
    return vm;
  }

  /** The tasks that hold the mmu_lock of the VM at this address. */
  holdersOf(lock: number): Iterable<Task> {
    return this.holders.get(lock) ?? [];
  }

  /** Also where another VM was before. */
  newVm(id: number): Vm {
    const before = this.vms.get(id);
    if (before !== undefined) for (const table of before.tables) this.drop(table);
    const vm = new Vm(id);
    this.vms.set(id, vm);
    for (const listener of this.listeners.created) listener(vm);
    return vm;
  }

  /** The VM that is where `before` was, which was seen to be taken down. */
  nextVm(before: Vm): Vm {
    const vm = this.newVm(before.id);
    vm.seenFromStart = true;
    return vm;
  }

  /** A table that was there before the trace told of it. */
  found(frame: number, vm: Vm, asId: number, level: number, base: number): Table {
    const known = this.tables.get(frame);
    if (known !== undefined) return known;
    return this.add(new Table(frame, vm, asId, level, base));
  }

  /** A root by its physical address. */
  rootAt(address: number, vm: Vm, asId: number): Table {
    const root = this.found(frameOfPhysical(address), vm, asId, ROOT_LEVEL, 0);
    if (root.root === null) this.makeRoot(root);
    return root;
  }

  /** For a table whose page is not known. */
  namelessFrame(): number {
    this.nameless--;
    return this.nameless;
  }

  makeRoot(table: Table): void {
    table.root = table;
    if (!table.vm.roots.includes(table)) table.vm.roots.unshift(table);
  }

  add(table: Table): Table {
    this.tables.set(table.frame, table);
    table.vm.tables.add(table);
    return table;
  }

  /** A table that nothing more can be said of. */
  drop(table: Table): void {
    if (this.tables.get(table.frame) === table) this.tables.delete(table.frame);
    table.vm.tables.delete(table);
    if (table.isRoot) table.vm.roots = table.vm.roots.filter((root) => root !== table);
  }

  /** Events were lost: nothing of what was known may be relied on. */
  forget(): void {
    for (const listener of this.listeners.forgetting) listener();
    this.hasForgotten = true;
    this.vms.clear();
    this.tasks.clear();
    this.tables.clear();
    this.holders.clear();
  }
}
