/**
 * A virtual machine: the one place where KVM's vocabulary and the TDX module meet. Policies get it
 * as their first argument and work through it; rules watch it.
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

/**
 * What kind of VM a scenario is about: a TD that runs, a TD that is being built (its memory is
 * still being added), or an ordinary VM, whose tables are KVM's own.
 */
export const VM_KINDS = ['td', 'new-td', 'vm'] as const;
export type VmKind = (typeof VM_KINDS)[number];

/** A vCPU: KVM's side, the module's side, and the hardware it runs on. */
export interface VmVcpu {
  readonly index: number;
  readonly kvm: Vcpu;
  /** Page number of its TDVPR. */
  readonly tdvpr: number;
  readonly walker: Walker;
  /** Its last exit, as KVM's handlers see it. */
  readonly exit: VcpuExit;
}

/** What rules may learn about a VM beyond what machine, module and mirror tell. */
export interface VmListener {
  /**
   * A call of the module has ended; `tolerated` are the statuses that the policy said it can
   * handle.
   */
  answered?(call: Call, tolerated: readonly Status[]): void;
  /**
   * vCPU `vcpu` brings a fault to the policy, which has handled it; `acceptLevel` as
   * {@link Policy.fault} has it.
   */
  faultBegan?(vcpu: number, gfn: number, acceptLevel: number): void;
  faultEnded?(vcpu: number, gfn: number, acceptLevel: number, mayRetry: boolean): void;
  /** The current actor's operation has ended. */
  operationEnded?(): void;
  /** The host is about to take pages from the guest, and has taken them. */
  unmapBegan?(gfn: number, pages: number): void;
  unmapReturned?(gfn: number, pages: number): void;
  /**
   * The guest has read `value` at `gfn` from `page` and, unless `written` is null, has written
   * that.
   */
  accessed?(vcpu: number, gfn: number, page: number, value: number, written: number | null): void;
  /** Every actor has ended; nothing is in flight. */
  atRest?(): void;
  /** The host reads or writes `page` as memory of its own. */
  hostTouched?(page: number): void;
  /** The current actor has looked up the memslot of `gfn`, for a fault, and found it in `state`. */
  slotFound?(gfn: number, state: number): void;
  /** KVM handles the exit with that number (see VcpuExit). */
  exitHandled?(vcpu: number, serial: number): void;
  /** The memslot of `pages` GFNs from `gfn` on is about to be deleted, and has been. */
  slotRemovalBegan?(gfn: number, pages: number): void;
  slotRemoved?(gfn: number, pages: number): void;
  /**
   * The structure of a vCPU is freed; `listed`: it is still on its processor's list of associated
   * vCPUs.
   */
  vcpuFreed?(listed: boolean): void;
}

/** The parts of a VM, as its platform puts them together. */
export type VmParts = Omit<
  Vm,
  'listeners' | 'address' | 'keyedAddress' | 'seamcall' | 'findSlot' | 'kill'
>;

export class Vm {
  readonly kind: VmKind;
  readonly m: Machine;
  readonly memory: Memory;
  readonly tdx: TdxModule;
  readonly policy: Policy;
  /** Page number of the TDR. */
  readonly tdr: number;
  /** What KVM has that is not about private memory: roots, memslots, the primary MMU. */
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
  /** The memslot that scenarios delete: SLOT_VALID, SLOT_INVALID while it goes, SLOT_NONE. */
  readonly slot: Cell;
  /** KVM's side of the TD. */
  readonly td: TdVm;
  /** Where nothing may be mapped large. */
  readonly largePages: LargePages;
  /**
   * The PAMT pages of a VM whose module wants them one by one; only policies that support that use
   * it.
   */
  readonly pamt: DynamicPamt;
  /** A spinlock for policies that have calls of the module take turns (P1). */
  readonly seamcallLock: SpinLock;
  /**
   * How many interrupts are about to hit the processors of the host: a resize that looks for one
   * finds it.
   */
  readonly interrupts: Cell;
  readonly listeners: VmListener[] = [];

  constructor(parts: VmParts) {
    this.kind = parts.kind;
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
   * Calls the module. `tolerated` are the statuses, besides success, for which the caller has an
   * answer; any other one breaks rule S01.
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
    // KVM_BUG_ON is the answer to everything that a VM is told after its first: it is dead already
    const answers = this.td.isDead() ? [...tolerated, classOf(call.status)] : tolerated;
    for (const listener of this.listeners) listener.answered?.(call, answers);
    return call;
  }

  /**
   * A call that fails for no reason of KVM's: whoever made it has to have an answer (K47, K51,
   * K64).
   */
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

  /**
   * Looks up the memslot of a fault on private GFN `gfn`, in one step; none where the GFN is
   * shared.
   */
  *findSlot(gfn: number): Steps<number> {
    const deletable = yield* this.m.read(this.slot);
    const state = gfn < this.td.slotPages ? deletable : SLOT_VALID;
    for (const listener of this.listeners) listener.slotFound?.(gfn, state);
    return this.td.isShared(gfn) ? SLOT_NONE : state;
  }

  /** KVM_BUG_ON: no vCPU runs any more, and nothing of the VM is trusted. */
  *kill(): Steps<void> {
    yield* this.m.write(this.td.dead, 1);
    for (const { kvm } of this.vcpus) {
      yield* kvm.request(REQ_VM_DEAD);
      yield* kvm.kick();
    }
  }

  /** Host threads run on logical processors after those of the vCPUs. */
  private hostLp(): number {
    return this.vcpus.length + Math.max(0, this.m.current);
  }
}

/** Calls that fault injection makes fail. */
const CAN_FAIL: ReadonlySet<string> = new Set(['TDH.MEM.PAGE.REMOVE', 'TDH.MEM.PAGE.ADD']);

/** The operands of a function with a GPA, a level and the TD. */
export const mapping = (vm: Vm, gfn: number, level: number): Partial<Operands> => ({
  rcx: vm.tdx.geometry.align(gfn, level) * PAGE_BYTES + level,
  rdx: vm.address(vm.tdr),
});

export const succeeded = (call: Call): boolean => call.status === SUCCESS;
export const isStatus = (call: Call, status: Status): boolean => classOf(call.status) === status;
