/** A VM: its tables, its roots, and how far it is in its life. */
import type { Table } from './table.ts';

const UPPER_BITS = 0xffe0_0000_0000_0000n;

/** Text of an address, with the upper bits that numbers do not carry. */
const addressText = (address: number): string => `0x${(BigInt(address) | UPPER_BITS).toString(16)}`;

export class Vm {
  /** Address of its struct kvm, and of its mmu_lock. */
  readonly id: number;
  readonly name: string;
  /** Its creation is in the trace, so that all of its tables are known. */
  seenFromStart = false;
  readonly tables = new Set<Table>();
  /** Roots, newest first. */
  roots: Table[] = [];
  /** Roots by the address of their struct kvm_mmu_page. */
  readonly rootsBySp = new Map<number, Table>();
  /** Addresses of the struct kvm_mmu_page of roots, as walks name them. */
  readonly rootSps = new Set<number>();
  /** Its memory is being torn down, and no vCPU runs in it any more. */
  dying = false;
  /** Number of its tables that RCU callbacks have freed. */
  frees = 0;
  /** Line at which its MMU was torn down, or 0. */
  uninitialised = 0;

  constructor(id: number) {
    this.id = id;
    this.name = addressText(id);
  }
}
