/**
 * A virtual machine: the one place where KVM's vocabulary and the TDX module meet. A policy gets it
 * as its first argument and works through it; rules watch it.
 */
import type { DynamicPamt } from '../../spec/kvm/dynamic-pamt.ts';
import type { GuestMemory } from '../../spec/kvm/guest-memory.ts';
import type { Invalidation } from '../../spec/kvm/invalidation.ts';
import type { Kvm } from '../../spec/kvm/kvm.ts';
import type { LargePages } from '../../spec/kvm/large-pages.ts';
import type { Mirror } from '../../spec/kvm/mirror.ts';
import { REQ_VM_DEAD, SLOT_NONE, SLOT_VALID, type TdVm } from '../../spec/kvm/td-vm.ts';
import type { VcpuExit } from '../../spec/kvm/vcpu-exit.ts';
import type { Cell, Machine } from '../../spec/machine/machine.ts';
import type { Memory } from '../../spec/machine/memory.ts';
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Pages } from '../../spec/machine/pages.ts';
import type { Rcu } from '../../spec/machine/rcu.ts';
import type { RwLock } from '../../spec/machine/rwlock.ts';
import type { SpinLock } from '../../spec/machine/spinlock.ts';
import type { Steps } from '../../spec/machine/step.ts';
import type { Vcpu } from '../../spec/machine/vcpu.ts';
import type { Walker } from '../../spec/machine/walker.ts';
import { Call, OPERANDS_ZERO, type Operands } from '../../spec/tdx/call.ts';
import type { InterfaceFunction, TdxModule } from '../../spec/tdx/module.ts';
import { classOf, on, OPERAND_INVALID, SUCCESS, type Status } from '../../spec/tdx/status.ts';
import { TD } from '../../spec/tdx/td.ts';
import type { Policy } from './policy.ts';
import type { Sizes } from './size.ts';

/**
 * Kinds of VM: a TD that runs, a TD that is being built (its memory is still being added), and an
 * ordinary VM, whose tables are KVM's own.
 */
export const VM_KINDS = ['td', 'new-td', 'vm'] as const;
/** One of {@link VM_KINDS}. */
export type VmKind = (typeof VM_KINDS)[number];

/** A vCPU: KVM's side, the module's side, and the hardware it runs on. */
export interface VmVcpu {
  readonly index: number;
  readonly kvm: Vcpu;
  /** Page number of its TDVPR. */
  readonly tdvpr: number;
  readonly walker: Walker;
  /** The vCPU's last exit, as KVM's handlers see it. */
  readonly exit: VcpuExit;
}

/** Events of a VM that machine, module and mirror do not report; a rule subscribes to them. */
export interface VmListener {
  /** A SEAMCALL has ended; `tolerated` are the statuses that its caller handles. */
  answered?(call: Call, tolerated: readonly Status[]): void;
  /** The policy begins to handle a fault; `acceptLevel` is that of {@link Policy.fault}. */
  faultBegan?(vcpu: number, gfn: number, acceptLevel: number): void;
  /** The policy has handled the fault, and returned `mayRetry`. */
  faultEnded?(vcpu: number, gfn: number, acceptLevel: number, mayRetry: boolean): void;
  /** The current actor's operation has ended. */
  operationEnded?(): void;
  /** The host begins to reclaim pages from the guest. */
  unmapBegan?(gfn: number, pages: number): void;
  /** The host has the pages. */
  unmapReturned?(gfn: number, pages: number): void;
  /** The guest has read `value` at `gfn` from `page` and, unless it is null, written `written`. */
  accessed?(vcpu: number, gfn: number, page: number, value: number, written: number | null): void;
  /** Every actor has ended. */
  atRest?(): void;
  /** The host uses `page` as its own memory. */
  hostTouched?(page: number): void;
  /** The current actor has looked up the memslot of `gfn` for a fault, and found it in `state`. */
  slotFound?(gfn: number, state: number): void;
  /** KVM handles the exit with that serial number (see VcpuExit). */
  exitHandled?(vcpu: number, serial: number): void;
  /** The deletion of the memslot of `pages` GFNs from `gfn` on begins. */
  slotRemovalBegan?(gfn: number, pages: number): void;
  /** The memslot is deleted. */
  slotRemoved?(gfn: number, pages: number): void;
  /** A vCPU's structure is freed; `listed`: it is still on its processor's list of vCPUs. */
  vcpuFreed?(listed: boolean): void;
}

/** The parts of a VM, as its platform puts them together. */
type VmParts = Omit<
  Vm,
  'listeners' | 'address' | 'keyedAddress' | 'seamcall' | 'findSlot' | 'kill'
>;

/** A virtual machine: all that a policy works with. */
export class Vm {
  readonly kind: VmKind;
  readonly sizes: Sizes;
  readonly m: Machine;
  readonly memory: Memory;
  readonly tdx: TdxModule;
  readonly policy: Policy;
  /** Page number of the TDR. */
  readonly tdr: number;
  /** KVM's state that is not about private memory: roots, memslots, the primary MMU. */
  readonly kvm: Kvm;
  readonly mmuLock: RwLock;
  readonly rcu: Rcu;
  readonly pages: Pages;
  readonly mirror: Mirror;
  readonly invalidation: Invalidation;
  readonly guestMemory: GuestMemory;
  readonly vcpus: readonly VmVcpu[];
  /** KVM's wait_for_sept_zap: while not 0, no vCPU enters the TD. */
  readonly noEntry: Cell;
  /** State of the memslot that scenarios delete: SLOT_VALID, SLOT_INVALID meanwhile, SLOT_NONE. */
  readonly slot: Cell;
  /** KVM's state of the TD. */
  readonly td: TdVm;
  /** Ranges in which nothing may be mapped large. */
  readonly largePages: LargePages;
  /** PAMT pages, and the calls of a module that needs them; for policies with `dynamicPamt`. */
  readonly pamt: DynamicPamt;
  /** Spinlock for policies that serialize SEAMCALLs (P1). */
  readonly seamcallLock: SpinLock;
  /** Number of interrupts pending on the host: a resize that checks for one finds it. */
  readonly interrupts: Cell;
  readonly listeners: VmListener[] = [];

  constructor(parts: VmParts) {
    this.kind = parts.kind;
    this.sizes = parts.sizes;
    this.m = parts.m;
    this.memory = parts.memory;
    this.tdx = parts.tdx;
    this.policy = parts.policy;
    this.tdr = parts.tdr;
    this.kvm = parts.kvm;
    this.mmuLock = parts.mmuLock;
    this.rcu = parts.rcu;
    this.pages = parts.pages;
    this.mirror = parts.mirror;
    this.invalidation = parts.invalidation;
    this.guestMemory = parts.guestMemory;
    this.vcpus = parts.vcpus;
    this.noEntry = parts.noEntry;
    this.slot = parts.slot;
    this.td = parts.td;
    this.largePages = parts.largePages;
    this.pamt = parts.pamt;
    this.seamcallLock = parts.seamcallLock;
    this.interrupts = parts.interrupts;
  }

  /** HPA (bytes) of a page number. */
  address(page: number): number {
    return (page + this.tdx.platform.tdmrBase) * PAGE_BYTES;
  }

  /** HPA (bytes) of a page number under the TD's key. */
  keyedAddress(page: number): number {
    return (
      this.address(page) +
      this.m.peek(this.memory.word(this.tdr, TD.HKID)) * 2 ** this.tdx.platform.hkidShift
    );
  }

  /**
   * Calls the module. `tolerated` are the statuses, besides success, that the caller handles; any
   * other breaks rule S01.
   */
  *seamcall(
    fn: InterfaceFunction,
    operands: Partial<Operands>,
    tolerated: readonly Status[] = [],
  ): Steps<Call> {
    const interrupts = operands.vcpu === undefined ? this.m.peek(this.interrupts) : 0;
    const all = {
      ...OPERANDS_ZERO,
      lp: this.hostLp(),
      interruptAfter: interrupts > 0 ? 1 : 0,
      ...operands,
    };
    if (CAN_FAIL.has(fn.name) && this.m.peek(this.td.failing) !== 0)
      return yield* this.failedCall(fn, all);
    const call = yield* this.tdx.invoke(fn, all);
    if (interrupts > 0 && call.interruptLooks > 0) yield* this.m.add(this.interrupts, -1);
    // after the first KVM_BUG_ON the VM is dead, and KVM handles any further status by another one
    const handled = this.td.isDead() ? [...tolerated, classOf(call.status)] : tolerated;
    for (const listener of this.listeners) listener.answered?.(call, handled);
    return call;
  }

  /** Makes a call fail through no fault of KVM's: its caller must handle that (K47, K51, K64). */
  private *failedCall(fn: InterfaceFunction, operands: Operands): Steps<Call> {
    yield* this.m.write(this.td.failing, 0);
    const call = new Call(fn.name, operands);
    call.status = on(OPERAND_INVALID, 0);
    for (const listener of this.tdx.listeners) {
      listener.began?.(call);
      listener.ended?.(call, call.status);
    }
    for (const listener of this.listeners) listener.answered?.(call, [OPERAND_INVALID]);
    return call;
  }

  /** Looks up the memslot of private GFN `gfn`, in one step; SLOT_NONE where the GFN is shared. */
  *findSlot(gfn: number): Steps<number> {
    const deletable = yield* this.m.read(this.slot);
    const state = gfn < this.td.slotPages ? deletable : SLOT_VALID;
    for (const listener of this.listeners) listener.slotFound?.(gfn, state);
    return this.td.isShared(gfn) ? SLOT_NONE : state;
  }

  /** KVM_BUG_ON: no vCPU runs any more, and the VM's state is not trusted. */
  *kill(): Steps<void> {
    yield* this.m.write(this.td.dead, 1);
    for (const { kvm } of this.vcpus) {
      yield* kvm.request(REQ_VM_DEAD);
      yield* kvm.kick();
    }
  }

  /** Logical processor of the current host thread: they follow those of the vCPUs. */
  private hostLp(): number {
    return this.vcpus.length + Math.max(0, this.m.current);
  }
}

/** Functions that fault injection can make fail. */
const CAN_FAIL: ReadonlySet<string> = new Set(['TDH.MEM.PAGE.REMOVE', 'TDH.MEM.PAGE.ADD']);

/** Operands of a function that takes a GPA with a level, and the TD. */
export const mapping = (vm: Vm, gfn: number, level: number): Partial<Operands> => ({
  rcx: vm.tdx.geometry.align(gfn, level) * PAGE_BYTES + level,
  rdx: vm.address(vm.tdr),
});

/** The call returned TDX_SUCCESS. */
export const succeeded = (call: Call): boolean => call.status === SUCCESS;
/** The call returned `status`, whatever its operand id. */
export const isStatus = (call: Call, status: Status): boolean => classOf(call.status) === status;
