/**
 * A vCPU's last exit from the TD, as KVM keeps it for its exit handlers. Only the vCPU's own thread
 * accesses it, so that a write is no step. Source: Linux, arch/x86/kvm/vmx/tdx.c: tdx_vcpu_run(),
 * tdx_handle_exit().
 */
import type { Cell, Machine } from '../machine/machine.ts';

/** No exit, or one that has been handled. */
const NO_EXIT = 0;
const EPT_VIOLATION = 1;
const INTERRUPT = 2;

/** Flags of the exit qualification: the access was a write. */
export const EXIT_WRITE = 1;
/** The page is mapped and pending: not accepted by the guest (extended exit qualification). */
export const EXIT_PENDING = 2;

/** The last exit of a vCPU, as KVM's handlers see it. */
export class VcpuExit {
  private readonly m: Machine;
  private readonly reason: Cell;

  constructor(m: Machine, name: string) {
    this.m = m;
    this.reason = m.record(`${name}.exit`, 'gfn', 'flags', 'serial', 'acceptLevel');
  }

  /** An exit has to be handled. */
  get isThere(): boolean {
    return this.m.peek(this.reason) !== NO_EXIT;
  }

  get isViolation(): boolean {
    return this.m.peek(this.reason) === EPT_VIOLATION;
  }

  get gfn(): number {
    return this.m.peek(this.reason + 1);
  }

  /** EXIT_WRITE and EXIT_PENDING. */
  get flags(): number {
    return this.m.peek(this.reason + 2);
  }

  /** Number of exits so far. */
  get serial(): number {
    return this.m.peek(this.reason + 3);
  }

  /** Level of the guest's ACCEPT; -1 for any other access. */
  get acceptLevel(): number {
    return this.m.peek(this.reason + 4) - 1;
  }

  violation(gfn: number, flags: number, acceptLevel = -1): void {
    this.set(EPT_VIOLATION, gfn, flags, acceptLevel);
  }

  interrupt(): void {
    this.set(INTERRUPT, 0, 0, -1);
  }

  private set(reason: number, gfn: number, flags: number, acceptLevel: number): void {
    this.m.poke(this.reason, reason);
    this.m.poke(this.reason + 1, gfn);
    this.m.poke(this.reason + 2, flags);
    this.m.poke(this.reason + 3, this.serial + 1);
    this.m.poke(this.reason + 4, acceptLevel + 1);
  }

  clear(): void {
    this.m.poke(this.reason, NO_EXIT);
  }
}
