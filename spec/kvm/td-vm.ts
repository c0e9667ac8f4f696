/**
 * What KVM keeps of a TD besides its page tables (struct kvm_tdx, and what of struct kvm its ioctls
 * need): how far its life has come, the locks of the ioctls, SRCU, which GFNs are shared. Source:
 * Linux, arch/x86/kvm/vmx/tdx.h, tdx.c; virt/kvm/kvm_main.c for the locks and SRCU.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { Rcu } from '../machine/rcu.ts';
import { SpinLock } from '../machine/spinlock.ts';

/** TD_STATE_*: its memory is still being added; it can run. */
export const TD_INITIALIZED = 0;
export const TD_RUNNABLE = 1;

/**
 * States of a memslot: deleted; there; marked KVM_MEMSLOT_INVALID, which faults have to wait out
 * (K42).
 */
export { SLOT_ABSENT as SLOT_NONE, SLOT_INVALID, SLOT_VALID } from './memslots.ts';

/** Requests of a vCPU: an event (an interrupt to inject), a signal for its thread, KVM_REQ_VM_DEAD. */
export const REQ_EVENT = 1;
export const REQ_SIGNAL = 2;
export const REQ_VM_DEAD = 4;

/** Sizes of a TD. */
export interface TdVmOptions {
  readonly vcpus: number;
  readonly gfns: number;
  /** The memslot that scenarios delete holds the GFNs below this; what is above is another one's. */
  readonly slotPages: number;
}

/** KVM's state of a TD. */
export class TdVm {
  readonly slotPages: number;
  /** TD_INITIALIZED or TD_RUNNABLE. */
  readonly state: Cell;
  /** KVM_PRE_FAULT_MEMORY may run; published after `state` (K52). */
  readonly preFaultAllowed: Cell;
  /**
   * Mirror leaves that the Secure EPT does not have yet, in policies that make the mirror first
   * (K64).
   */
  readonly nrPremapped: Cell;
  /** KVM_BUG_ON: the VM is dead, and what the module still owns is leaked (K47, K51). */
  readonly dead: Cell;
  /** Not 0: the next call that can be made to fail does (fault injection). */
  readonly failing: Cell;
  /**
   * Head of the list of vCPUs that are associated with the hosts' processor: a reference plus one,
   * or 0.
   */
  readonly vcpuList: Cell;
  readonly srcu: Rcu;
  readonly kvmLock: SpinLock;
  readonly slotsLock: SpinLock;
  /** The guest_memfd file's invalidate lock: population and hole punching exclude each other. */
  readonly filemapLock: SpinLock;
  readonly vcpuMutexes: readonly SpinLock[];
  private readonly m: Machine;
  /** Per GFN: KVM_MEMORY_ATTRIBUTE_PRIVATE is off. */
  private readonly shared: Cell;
  /** Per vCPU: KVM_TDX_INIT_VCPU is done. */
  private readonly ready: Cell;

  constructor(m: Machine, { vcpus, gfns, slotPages }: TdVmOptions) {
    this.m = m;
    this.slotPages = slotPages;
    this.state = m.record(
      'kvm_tdx.state',
      'pre_fault_allowed',
      'nr_premapped',
      'vm_dead',
      'fail_seamcall',
      'associated_tdvcpus',
    );
    this.preFaultAllowed = this.state + 1;
    this.nrPremapped = this.state + 2;
    this.dead = this.state + 3;
    this.failing = this.state + 4;
    this.vcpuList = this.state + 5;
    this.shared = m.segment('shared', gfns, (gfn) => `shared[${gfn}]`);
    this.ready = m.segment('vcpu ready', vcpus, (i) => `vcpu${i}.state`);
    this.srcu = new Rcu(m, 'SRCU');
    this.kvmLock = new SpinLock(m, 'kvm->lock');
    this.slotsLock = new SpinLock(m, 'slots_lock');
    this.filemapLock = new SpinLock(m, 'filemap_invalidate_lock');
    this.vcpuMutexes = Array.from({ length: vcpus }, (_, i) => new SpinLock(m, `vcpu${i}->mutex`));
  }

  isRunnable(): boolean {
    return this.m.peek(this.state) === TD_RUNNABLE;
  }

  isDead(): boolean {
    return this.m.peek(this.dead) !== 0;
  }

  isShared(gfn: number): boolean {
    return this.m.peek(this.shared + gfn) !== 0;
  }

  /** The cell that says whether `gfn` is shared. */
  attribute(gfn: number): Cell {
    return this.shared + gfn;
  }

  isReady(vcpu: number): boolean {
    return this.m.peek(this.ready + vcpu) !== 0;
  }

  /** KVM_TDX_INIT_VCPU has ended, within the current step. */
  setReady(vcpu: number): void {
    this.m.poke(this.ready + vcpu, 1);
  }
}
