/**
 * All that a trace has shown so far: VMs, tasks, tables. It passes each event first to the handlers
 * that keep state, then to those of rules, so that a rule finds the state as the event leaves it.
 */
import { tracedKernel, type TracedKernel } from '../kernels/kernel.ts';
import type { KernelName } from '../kernels/names.ts';
import { Recognition } from '../kernels/recognition.ts';
import { EVENT_KINDS, type EventName } from '../reader/event-table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { frameOfPhysical, ROOT_LEVEL } from './addresses.ts';
import type { BrokenChain, Change } from './change.ts';
import { DirectMap } from './direct-map.ts';
import { Handlers } from './handlers.ts';
import { ENTRIES } from './spte.ts';
import { Table } from './table.ts';
import { Task, type Hold } from './task.ts';
import { Vm } from './vm.ts';

/** Upper bits of kernel addresses that numbers do not carry, with 4-level paging. */
const UPPER_BITS = 0xffe0_0000_0000_0000n;

type KeepState = (e: TraceEvent, task: Task) => void;
/** Handler of a rule, which does not change the task. */
type OnEvent = (e: TraceEvent, task: Readonly<Task>) => void;

class Listeners {
  readonly created = new Handlers<(vm: Vm) => void, (vm: Readonly<Vm>) => void>();
  /** An SPTE changes; the table does not have the new value yet. */
  readonly changing = new Handlers<(c: Change) => void, (c: Readonly<Change>) => void>();
  /** The old value of an SPTE is not the value last written, and nothing explains it. */
  readonly chainBroken = new Handlers<(b: BrokenChain) => void>();
  readonly acquired = new Handlers<OnHold, OnHoldOfRule>();
  /** The task still holds the lock. */
  readonly releasing = new Handlers<OnHold, OnHoldOfRule>();
  /** A table's memory is freed; the table still has its entries. */
  readonly freeing = new Handlers<OnTable>();
  /** A table's page becomes another table's. */
  readonly reusing = new Handlers<OnTable>();
  /** Events were lost: what is pending is dropped. */
  readonly forgetting = new Handlers<() => void>();
  /** The trace is over. */
  readonly ending = new Handlers<() => void>();
}

type OnHold = (task: Task, hold: Hold) => void;
type OnHoldOfRule = (task: Readonly<Task>, hold: Hold) => void;
type OnTable = (table: Table, task: Task) => void;

export class World {
  readonly e: TraceEvent;
  /** Null until the trace has shown it. */
  kernel: TracedKernel | null;
  readonly recognition = new Recognition();
  private readonly given: KernelName | undefined;
  readonly vms = new Map<number, Vm>();
  readonly tasks = new Map<number, Task>();
  /** Tables by the number of their page. */
  readonly tables = new Map<number, Table>();
  readonly directMap = new DirectMap();
  readonly listeners = new Listeners();
  /** Tasks that hold each lock. */
  readonly holders = new Map<number, Set<Task>>();
  /** Number of events of each kind so far. */
  private readonly seen: Float64Array = new Float64Array(EVENT_KINDS.length);
  /** Events were lost. */
  hasForgotten = false;
  /** Level of the root whose level was stated last: 5 where the host has 5-level paging. */
  rootLevel = ROOT_LEVEL;
  /** Number of fast page faults that changed an entry which is not known. */
  unplaced = 0;
  /** Number of entries of a table; a model has fewer than the hardware. */
  entries = ENTRIES;
  /** PREEMPT_RT: holders of mmu_lock are preemptible, and do not delay a grace period. */
  locksArePreempted = false;
  private readonly declared = new Set<string>();
  /** Names of the tasks for which lock events are recorded. */
  private readonly lockComms = new Set<string>();
  private nameless = 0;
  private readonly handlers = EVENT_KINDS.map(() => new Handlers<KeepState, OnEvent>());
  private readonly ids = new Map<EventName, number>(EVENT_KINDS.map(({ name, id }) => [name, id]));

  /** @param given The kernel that the caller says it is. */
  constructor(e: TraceEvent, given?: KernelName) {
    this.e = e;
    this.given = given;
    this.kernel = given === undefined ? null : tracedKernel([given]);
    this.directMap.onMove.push(() => this.forget());
  }

  /** Subscribes a rule to events of these names. */
  on(names: EventName | readonly EventName[], handler: OnEvent): void {
    for (const handlers of this.handlersOf(names)) handlers.push(handler);
  }

  /** Subscribes a handler that keeps state, and runs before those of rules. */
  onState(names: EventName | readonly EventName[], handler: KeepState): void {
    for (const handlers of this.handlersOf(names)) handlers.pushState(handler);
  }

  private handlersOf(names: EventName | readonly EventName[]): Handlers<KeepState, OnEvent>[] {
    return (typeof names === 'string' ? [names] : names).flatMap(
      (name) => this.handlers[this.ids.get(name) ?? -1] ?? [],
    );
  }

  /** Whether events of that name are recorded: one was seen, or the trace declares their probe. */
  hasSeen(name: EventName): boolean {
    return (this.seen[this.ids.get(name) ?? -1] ?? 0) > 0 || this.declared.has(name);
  }

  /** Reads the declarations of the comment in `e`. */
  declare(): void {
    const { e } = this;
    for (const name of e.declared('probes')) this.declared.add(name);
    for (const entries of e.declared('entries'))
      this.entries = Math.min(Number(entries) || ENTRIES, ENTRIES);
    if (e.declared('preemption').includes('rt')) this.locksArePreempted = true;
  }

  /** Handles the event in `e`. */
  handle(): void {
    const { e } = this;
    if (e.kind === null) return;
    this.seen[e.kind.id] = (this.seen[e.kind.id] ?? 0) + 1;
    const handlers = this.handlers[e.kind.id]?.all;
    if (handlers === undefined || handlers.length === 0) return;
    const task = this.taskOf(e);
    for (const handler of handlers) handler(e, task);
    task.lastLine = e.line;
  }

  /** Notes what the event in `e` shows of the kernel, before it is handled. */
  recognise(): void {
    const { given, recognition } = this;
    if (!recognition.see(this.e)) return;
    const isFirst = this.kernel === null;
    if (given === undefined) this.kernel = recognition.kernel;
    else this.kernel = tracedKernel([given], recognition.vendorFound);
    if (!isFirst || this.kernel === null) return;
    for (const table of this.tables.values())
      if (table.initialisedLine > 0) table.fill(this.kernel.layout.empty);
  }

  /** The task that emitted an event; those in interrupt context are not the interrupted task's. */
  private taskOf(e: TraceEvent): Task {
    const ofCpu = e.inInterrupt || e.pid === 0;
    const key = ofCpu ? -1 - e.cpu : e.pid;
    const known = this.tasks.get(key);
    if (known !== undefined) return known;
    const task = new Task(key, ofCpu ? `interrupt on CPU ${e.cpu}` : e.task());
    this.tasks.set(key, task);
    return task;
  }

  /** Notes that lock events are recorded for tasks of this name. */
  noteLocksOf(task: Task): void {
    if (task.locksSeen) return;
    task.locksSeen = true;
    this.lockComms.add(task.comm);
  }

  /** Whether an event would show that the task holds the VM's lock. */
  recordsLocksOf(task: Task, vm: Vm): boolean {
    const areDeclared = this.declared.has('rl_ret') && this.declared.has('wl_ret');
    return task.locksSeen || (vm.seenFromStart && (areDeclared || this.lockComms.has(task.comm)));
  }

  /** Returns the VM that an event names, and notes that the task works on it. */
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

  /** Adds a VM, in place of another one at the same address. */
  newVm(id: number): Vm {
    const before = this.vms.get(id);
    if (before !== undefined) for (const table of before.tables) this.drop(table);
    const vm = new Vm(id, this.addressText(id));
    this.vms.set(id, vm);
    for (const listener of this.listeners.created.all) listener(vm);
    return vm;
  }

  /** Text of an address that the present event has, or of one whose upper bits are all set. */
  private addressText(address: number): string {
    const { e } = this;
    const key = (['kvm', 'lock'] as const).find((name) => e.number(name) === address);
    const upper = key === undefined ? UPPER_BITS : BigInt(e.high(key) >>> 0) << 32n;
    return `0x${(upper | BigInt(address)).toString(16)}`;
  }

  /** Adds a VM at the address of `before`, whose teardown the trace has shown. */
  nextVm(before: Vm): Vm {
    return this.addFromStart(before.id);
  }

  /** Adds a VM whose creation the trace shows. Where tables have no frames, they are not known. */
  addFromStart(id: number): Vm {
    const vm = this.newVm(id);
    vm.seenFromStart = !this.directMap.isMissing;
    return vm;
  }

  /** Whether the present event names a table by an address that later events may explain. */
  mustWait(): boolean {
    const { e, directMap, kernel } = this;
    return directMap.isAwaited && e.has('spt') && kernel?.namesTables !== false;
  }

  /** Follows tables from now on without the base of the direct map, as nothing shows it. */
  giveUpDirectMap(): void {
    this.directMap.giveUp();
    for (const vm of this.vms.values()) vm.seenFromStart = false;
  }

  /** Frame of a virtual address; NaN while nothing shows where memory is mapped. */
  frameAt(address: number): number {
    return this.directMap.frameOf(address);
  }

  /** The table on the page of a virtual address, if it is known. */
  tableOf(address: number): Table | undefined {
    return this.tables.get(this.frameAt(address));
  }

  /**
   * The table at `frame`, if it is known. Without init_sp nothing shows when the page of a freed
   * table becomes another one's.
   */
  private known(frame: number): Table | undefined {
    const table = this.tables.get(frame);
    return table?.life === 'freed' && !this.hasSeen('init_sp') ? undefined : table;
  }

  /** The root at a physical address, if it is known. */
  rootOf(address: number): Table | undefined {
    return this.known(frameOfPhysical(address));
  }

  /** Returns the table at `frame`; adds it if it is older than the trace. */
  tableAt(frame: number, vm: Vm, asId: number, level: number, base: number): Table {
    const known = this.known(frame);
    if (known !== undefined) {
      known.state(level, asId);
      known.isAssumed = false;
      return known;
    }
    const freed = this.tables.get(frame);
    if (freed !== undefined) this.drop(freed);
    return this.add(new Table(frame, vm, asId, level, base));
  }

  /** Returns a frame for a table whose page is not known. */
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
    table.vm.addressSpaces.add(table.asId);
    return table;
  }

  /** Removes a table. */
  drop(table: Table): void {
    if (this.tables.get(table.frame) === table) this.tables.delete(table.frame);
    table.vm.tables.delete(table);
    if (table.isRoot) table.vm.roots = table.vm.roots.filter((root) => root !== table);
  }

  /** Discards all state, because events were lost. */
  forget(): void {
    for (const listener of this.listeners.forgetting.all) listener();
    this.hasForgotten = true;
    this.directMap.forget();
    this.vms.clear();
    this.tasks.clear();
    this.tables.clear();
    this.holders.clear();
  }
}
