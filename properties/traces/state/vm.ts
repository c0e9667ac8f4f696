/** A VM as the trace tells of it. */
import type { Table } from './table.ts';

const UPPER_BITS = 0xffe0_0000_0000_0000n;

/** The address, with the upper bits that numbers do not carry. */
export const addressText = (address: number): string =>
  `0x${(BigInt(address) | UPPER_BITS).toString(16)}`;

export class Vm {
  /** Address of its struct kvm, and of its mmu_lock. */
  readonly id: number;
  readonly name: string;
  /** Nothing of it was there before the trace told of it. */
  seenFromStart = false;
  readonly tables = new Set<Table>();
  /** Newest first. */
  roots: Table[] = [];
  /** Roots by the address of their struct kvm_mmu_page. */
  readonly rootsBySp = new Map<number, Table>();
  /** Such addresses that were told of. */
  readonly rootSps = new Set<number>();
  /** Its memory is being taken down; nothing runs in it any more. */
  dying = false;
  /** How many of its tables an RCU callback was seen to free. */
  frees = 0;
  /** Where its MMU was torn down, or 0. */
  uninitialised = 0;

  constructor(id: number) {
    this.id = id;
    this.name = addressText(id);
  }
}
