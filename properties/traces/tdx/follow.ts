/** Keeps the account of TDs: calls of the module and what they changed, VCPUs inside, entries barred. */
import { OPERAND_BUSY, PREVIOUS_TLB_EPOCH_BUSY, SUCCESS, toRax, type Status } from '../../../spec/tdx/status.ts';
import { CALL_NAMES, type CallName } from '../kernels/events.ts';
import type { TraceEvent } from '../reader/event.ts';
import { pagesAt } from '../state/spte.ts';
import type { Task } from '../state/task.ts';
import type { Vm } from '../state/vm.ts';
import { frameOfAddress, type World } from '../state/world.ts';
import { Td, keyOf, type Entry, type Key } from './td.ts';

const PAGE = 4096;
/** struct page of frame 0, without its upper bits, and how many bytes one takes. */
const VMEMMAP = (0xffff_ea00 & 0x1f_ffff) * 2 ** 32;
const STRUCT_PAGE = 64;

/** Bits 63:32 of a completion status, which tell statuses apart. */
const classBits = (status: Status): number => Number(toRax(status) >> 32n) | 0;
const [DONE, BUSY, EPOCH_BUSY] = [SUCCESS, OPERAND_BUSY, PREVIOUS_TLB_EPOCH_BUSY].map(classBits);

/** KVM_REQ_VM_DEAD, in the byte of a request that says which it is. */
const VM_DEAD = 1;

const frameOfPage = (e: TraceEvent): number => (e.number('page') - VMEMMAP) / STRUCT_PAGE;

/** A call of the module, from where it begins. */
export class TracedCall {
  readonly name: CallName;
  readonly line: number;
  readonly gfn: number;
  readonly level: number;
  /** Of the page that it gives or is about; -1 when there is none. */
  readonly frame: number;
  /** A page whose contents are added was named. */
  readonly hasSource: boolean;
  /** The entry that it is about, as it was before; null when it is not known, or there is none. */
  before: Entry | null = null;
  private result = 0;

  constructor(name: CallName, e: TraceEvent) {
    this.name = name;
    this.line = e.line;
    this.gfn = Math.floor(e.number('gpa') / PAGE);
    this.level = Math.max(e.low('level'), 1);
    this.frame = e.has('page') ? frameOfPage(e) : -1;
    this.hasSource = e.number('source') !== 0;
  }

  get key(): Key {
    return keyOf(this.gfn, this.level);
  }

  end(e: TraceEvent): void {
    this.result = e.high('status');
  }

  get succeeded(): boolean {
    return this.result === DONE;
  }

  get isBusy(): boolean {
    return this.result === BUSY;
  }

  get meetsOldEpoch(): boolean {
    return this.result === EPOCH_BUSY;
  }

  /** As violations say it. */
  get status(): string {
    return `0x${(this.result >>> 0).toString(16).padStart(8, '0')}`;
  }
}

type OnCall = (td: Td, task: Task, call: TracedCall) => void;

export class Tds {
  readonly world: World;
  readonly began: OnCall[] = [];
  /** The account has taken it in. */
  readonly ended: OnCall[] = [];
  /** The host uses the page of a frame as memory of its own. */
  readonly pageUsed: ((frame: number, task: Task, line: number) => void)[] = [];
  private tds = new Map<Vm, Td>();
  /** Which VM a struct tdx_td is of. */
  private readonly vms = new Map<number, Vm>();
  private readonly calls = new Map<Task, { readonly td: Td; readonly call: TracedCall }>();

  constructor(world: World) {
    this.world = world;
    for (const name of CALL_NAMES) {
      if (name === 'tdh_vp_enter') continue; // it is as long as the VCPU is inside
      world.on(name, (e, task) => this.begin(name, e, task));
      world.on(`${name}_ret`, (e, task) => this.end(name, e, task));
    }
    world.on('bar', (e, task) => {
      this.of(world.vmOf(e, task)).barred = { task, line: e.line };
    });
    world.on('unbar', (e, task) => {
      this.of(world.vmOf(e, task)).barred = null;
    });
    world.on('request', (e, task) => {
      if ((e.low('req') & 0xff) === VM_DEAD) this.of(world.vmOf(e, task)).isDead = true;
    });
    world.on('kvm_entry', (e, task) => {
      const td = this.tds.size === 0 ? null : this.ofTask(task);
      td?.inside.set(task, e.line);
    });
    world.on('kvm_exit', (_, task) => {
      for (const td of this.tds.values()) td.inside.delete(task);
    });
    world.on('slot', (e, task) => {
      const [start, n] = [e.number('gfn'), e.number('n')];
      this.of(world.vmOf(e, task)).slots.push({ task, start, end: start + n, over: false });
    });
    world.on('slot_ret', (_, task) => {
      for (const td of this.tds.values()) for (const slot of td.slots) if (slot.task === task) slot.over = true;
    });
    world.on('reset_page', (e, task) => {
      for (const listener of this.pageUsed) listener(frameOfPage(e), task, e.line);
    });
    world.on('init_sp', (e) => {
      const table = e.number('sptep') === 0 ? world.tables.get(frameOfAddress(e.number('spt'))) : undefined;
      if (table?.mirror === true) this.of(table.vm).root = table;
    });
    world.listeners.forgetting.push(() => {
      this.tds = new Map();
      this.vms.clear();
      this.calls.clear();
    });
  }

  /** There are TDs. */
  get any(): boolean {
    return this.tds.size > 0;
  }

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

  /** The TD whose mmu_lock is at an address, or null. */
  ofLock(lock: number): Td | null {
    const vm = this.world.vms.get(lock);
    return vm === undefined ? null : this.tds.get(vm) ?? null;
  }

  /** The TD that a task was last seen to work for, or null. */
  ofTask(task: Task): Td | null {
    const vm = task.runs ?? task.vm;
    return vm === null ? null : this.tds.get(vm) ?? null;
  }

  /** Whose `struct tdx_td` a call names: that of the VM whose lock its caller holds, or that it works for. */
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
    const call = new TracedCall(name, e);
    if (ABOUT_ENTRY.has(name)) call.before = td.at(call.gfn, call.level);
    this.calls.set(task, { td, call });
    for (const listener of this.began) listener(td, task, call);
    if (name === 'tdh_mem_track') td.trackLine = call.line;
  }

  private end(name: CallName, e: TraceEvent, task: Task): void {
    const begun = this.calls.get(task);
    this.calls.delete(task);
    // the call began before the trace
    if (begun === undefined || begun.call.name !== name) return;
    const { td, call } = begun;
    call.end(e);
    if (call.succeeded) EFFECTS[name]?.(td, call, e.line);
    for (const listener of this.ended) listener(td, task, call);
  }
}

/** What a call that succeeded has changed. */
const EFFECTS: Partial<Record<CallName, (td: Td, call: TracedCall, line: number) => void>> = {
  tdh_mem_sept_add: (td, { gfn, level, frame }, line) => td.set(gfn, level, { holds: 'table', frame, line }),
  tdh_mem_page_add: (td, { gfn, level, frame }, line) => td.set(gfn, level, { holds: 'leaf', frame, line }),
  tdh_mem_page_aug: (td, { gfn, level, frame }, line) => td.set(gfn, level, { holds: 'leaf', frame, line }),
  tdh_mem_range_block: (td, { gfn, level, before }, line) => {
    if (before !== null) td.set(gfn, level, { ...before, blockedIn: td.epoch, line });
  },
  tdh_mem_range_unblock: (td, { gfn, level, before }, line) => {
    if (before !== null) td.set(gfn, level, { ...before, blockedIn: -1, line });
  },
  tdh_mem_track: (td) => {
    td.epoch++;
  },
  tdh_mem_page_remove: (td, { gfn, level }, line) => td.set(gfn, level, { holds: 'free', frame: -1, line }),
  tdh_mem_sept_remove: (td, { gfn, level }, line) => td.set(gfn, level, { holds: 'free', frame: -1, line }),
  tdh_mem_page_demote: (td, { gfn, level, before }, line) =>
    td.set(gfn, level, { holds: 'table', frame: before?.frame ?? -1, split: true, line }),
  tdh_mem_page_promote: (td, { gfn, level }, line) => {
    const frame = td.at(gfn, level - 1)?.frame ?? -1;
    td.merge(gfn, level);
    td.set(gfn, level, { holds: 'leaf', frame, line });
  },
  tdh_mr_finalize: (td, _, line) => {
    td.finalLine = line;
  },
  tdh_mng_vpflushdone: (td) => {
    td.isFlushed = true;
  },
  tdh_phymem_cache_wb: (td) => {
    td.isWrittenBack = td.isFlushed;
  },
  tdh_mng_key_freeid: (td) => {
    td.isFreed = true;
  },
};

/** Calls that name an entry. */
const ABOUT_ENTRY: ReadonlySet<CallName> = new Set(CALL_NAMES.filter((name) => /^tdh_mem_(sept|page|range)_/.test(name)));

/** Frames of what an entry at `level` maps. */
export function* framesOf(frame: number, level: number): Iterable<number> {
  for (let i = 0; i < pagesAt(level); i++) yield frame + i;
}
