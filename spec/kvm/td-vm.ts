/**
 * KVM's state of a TD besides its page tables (struct kvm_tdx, and the parts of struct kvm that its
 * ioctls use): its stage, the locks of the ioctls, SRCU, and which GFNs are shared. Source: Linux,
 * arch/x86/kvm/vmx/tdx.h, tdx.c; virt/kvm/kvm_main.c for the locks and SRCU.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { Rcu } from '../machine/rcu.ts';
import { SpinLock } from '../machine/spinlock.ts';

/** TD_STATE_*: the TD's memory is still being added; the TD can run. */
export const TD_INITIALIZED = 0;
export const TD_RUNNABLE = 1;

/** States of a memslot: deleted; marked KVM_MEMSLOT_INVALID while it is being deleted; valid. */
export { SLOT_ABSENT as SLOT_NONE, SLOT_INVALID, SLOT_VALID } from './memslots.ts';

/** Requests to a vCPU: inject an event, handle a signal of its thread, KVM_REQ_VM_DEAD. */
export const REQ_EVENT = 1;
export const REQ_SIGNAL = 2;
export const REQ_VM_DEAD = 4;

/** Sizes of a TD. */
export interface TdVmOptions {
  readonly vcpus: number;
  readonly gfns: number;
  /** GFNs below this are in the memslot that scenarios delete, the others in a second memslot. */
  readonly slotPages: number;
}

/** KVM's state of a TD. */
export class TdVm {
  readonly slotPages: number;
  /** TD_INITIALIZED or TD_RUNNABLE. */
  readonly state: Cell;
  /** KVM_PRE_FAULT_MEMORY may run; published after `state` (K52). */
  readonly preFaultAllowed: Cell;
  /** Mirror leaves that the Secure EPT lacks, in policies that populate the mirror first (K64). */
  readonly nrPremapped: Cell;
  /** KVM_BUG_ON: the VM is dead, and pages that the module still owns are leaked (K47, K51). */
  readonly dead: Cell;
  /** Fault injection: if not 0, the next call that supports it fails. */
  readonly failing: Cell;
  /** Head of the list of vCPUs associated with the host's processor: a reference plus one, or 0. */
  readonly vcpuList: Cell;
  readonly srcu: Rcu;
  readonly kvmLock: SpinLock;
  readonly slotsLock: SpinLock;
  /** filemap_invalidate_lock of guest_memfd: population and hole punching exclude each other. */
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

  /** Cell that is not 0 while `gfn` is shared. */
  attribute(gfn: number): Cell {
    return this.shared + gfn;
  }

  isReady(vcpu: number): boolean {
    return this.m.peek(this.ready + vcpu) !== 0;
  }

  /** Marks KVM_TDX_INIT_VCPU as done, within the current step. */
  setReady(vcpu: number): void {
    this.m.poke(this.ready + vcpu, 1);
  }
}
