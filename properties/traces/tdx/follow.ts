/** Follows TDs: calls of the module and their effects, vCPUs inside, whether entries are barred. */
import { CALL_NAMES, type CallName, type EventName } from '../reader/event-table.ts';
import type { TraceEvent } from '../reader/event.ts';
import { frameOf, LEAF } from '../state/spte.ts';
import { EXCLUSIVE, type Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import { TracedCall } from './call.ts';
import { ABOUT_ENTRY, EFFECTS } from './effects.ts';
import { StructPages } from './struct-pages.ts';
import { Td } from './td.ts';

/** KVM_REQ_VM_DEAD, in the byte of a request that holds its number. */
const VM_DEAD = 1;

/** Events that have to be recorded in pairs for the mode in which a task holds mmu_lock. */
export const LOCK_MODE_PAIRS: readonly (readonly [EventName, EventName])[] = [
  ['rl', 'rl_ret'],
  ['rl_ret', 'rl'],
  ['rl_ret', 'ru'],
  ['wl', 'wl_ret'],
  ['wl_ret', 'wl'],
  ['wl_ret', 'wu'],
  ['wu', 'wl_ret'],
];

type OnCall = (td: Td, task: Task, call: TracedCall) => void;

export class Tds {
  readonly world: World;
  /** The call has not changed anything yet. */
  readonly began: OnCall[] = [];
  /** The effect of the call has been applied. */
  readonly ended: OnCall[] = [];
  /** The host uses the page of a frame as memory of its own. */
  readonly pageUsed: ((frame: number, task: Task, line: number) => void)[] = [];
  private readonly pages = new StructPages();
  private tds = new Map<Vm, Td>();
  /** VMs by the address of their struct tdx_td. */
  private readonly vms = new Map<number, Vm>();
  private readonly calls = new Map<Task, { readonly td: Td; readonly call: TracedCall }>();

  constructor(world: World) {
    this.world = world;
    for (const name of CALL_NAMES) {
      if (name === 'tdh_vp_enter') continue; // it lasts as long as the vCPU is inside
      world.onState(name, (e, task) => this.begin(name, e, task));
      world.onState(`${name}_ret`, (e, task) => this.end(name, e, task));
    }
    world.onState('bar', (e, task) => {
      this.of(world.vmOf(e, task)).barred = { task, line: e.line };
    });
    world.onState('unbar', (e, task) => {
      this.of(world.vmOf(e, task)).barred = null;
    });
    world.onState('request', (e, task) => {
      if ((e.low('req') & 0xff) === VM_DEAD) this.of(world.vmOf(e, task)).isDead = true;
    });
    world.onState('kvm_entry', (e, task) => {
      const td = this.tds.size === 0 ? null : this.ofTask(task);
      td?.inside.set(task, e.line);
    });
    world.onState('kvm_exit', (_, task) => {
      for (const td of this.tds.values()) td.inside.delete(task);
    });
    world.onState('slot', (e, task) => {
      const [start, n] = [e.number('gfn'), e.number('n')];
      this.of(world.vmOf(e, task)).slots.push({ task, start, end: start + n, over: false });
    });
    world.onState('slot_ret', (_, task) => {
      for (const td of this.tds.values())
        for (const slot of td.slots) if (slot.task === task) slot.over = true;
    });
    world.onState('reset_page', (e, task) => {
      const frame = this.pages.frameOf(e);
      if (frame >= 0) for (const listener of this.pageUsed) listener(frame, task, e.line);
    });
    world.onState('init_sp', (e) => {
      const table = e.number('sptep') === 0 ? world.tableOf(e.number('spt')) : undefined;
      if (table?.mirror === true) this.of(table.vm).root = table;
    });
    world.listeners.changing.pushState(({ table, newKind, newHi, newLo }) => {
      if (table?.mirror === true && newKind === LEAF) this.pages.see(frameOf(newHi, newLo));
    });
    world.listeners.forgetting.pushState(() => {
      this.pages.forget();
      this.tds = new Map();
      this.vms.clear();
      this.calls.clear();
    });
  }

  /** Whether the trace has shown any TD. */
  get hasTds(): boolean {
    return this.tds.size > 0;
  }

  /** Returns the TD of a VM, which it adds if it is new. */
  of(vm: Vm): Td {
    const known = this.tds.get(vm);
    if (known !== undefined) return known;
    const td = new Td(vm);
    this.tds.set(vm, td);
    return td;
  }

  all(): Iterable<Td> {
    return this.tds.values();
  }

  /** Returns the TD whose mmu_lock is at an address, or null. */
  ofLock(lock: number): Td | null {
    const vm = this.world.vms.get(lock);
    return vm === undefined ? null : (this.tds.get(vm) ?? null);
  }

  /** Whether a task may hold mmu_lock of the TD's VM for write, as far as events show. */
  mayWrite({ vm }: Td, task: Task): boolean {
    return !this.world.recordsLocksOf(task, vm) || task.holdOn(vm.id)?.mode === EXCLUSIVE;
  }

  /** Returns the TD that a task last worked for, or null. */
  ofTask(task: Task): Td | null {
    const vm = task.runs ?? task.vm;
    return vm === null ? null : (this.tds.get(vm) ?? null);
  }

  /**
   * Returns the TD whose `struct tdx_td` a call names. A new address belongs to the VM whose lock
   * the caller holds, or that it works for.
   */
  private tdOf(e: TraceEvent, task: Task): Td | null {
    const id = e.number('td');
    const named = id === 0 ? undefined : this.vms.get(id);
    if (named !== undefined) return this.of(named);
    const vm = this.world.vms.get(task.holds.at(-1)?.lock ?? 0) ?? task.vm ?? task.runs;
    if (vm === null) return null;
    if (id !== 0) this.vms.set(id, vm);
    return this.of(vm);
  }

  private begin(name: CallName, e: TraceEvent, task: Task): void {
    const td = this.tdOf(e, task);
    if (td === null) return;
    const call = new TracedCall(name, e, this.pages.frameOf(e));
    if (ABOUT_ENTRY.has(name)) call.before = td.at(call.gfn, call.level);
    this.calls.set(task, { td, call });
    for (const listener of this.began) listener(td, task, call);
    if (name === 'tdh_mem_track') td.trackLine = call.line;
  }

  private end(name: CallName, e: TraceEvent, task: Task): void {
    const begun = this.calls.get(task);
    this.calls.delete(task);
    // the call is older than the trace
    if (begun === undefined || begun.call.name !== name) return;
    const { td, call } = begun;
    call.end(e);
    if (call.succeeded) EFFECTS[name]?.(td, call, e.line);
    for (const listener of this.ended) listener(td, task, call);
  }
}
