/**
 * Where things of a model would be on a real machine. A model's tables have a few entries and its
 * VM a few pages; each index of a GFN becomes an index of nine bits, so that an entry spans at each
 * level what it spans in hardware.
 */
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { pageNumberOf, type PageRef } from '../../../spec/machine/pages.ts';

/** Bits of a real index. */
const INDEX_BITS = 9;
const ENTRIES = 2 ** INDEX_BITS;
const ENTRY_BYTES = 8;
/**
 * Virtual addresses of physical memory begin here, and structures of a model are put from these
 * addresses on.
 */
const DIRECT_MAP = 0xffff_8880_0000_0000n;
const FIRST_FRAME = 0x10_0000;
const STRUCT_VM = 0xffff_8881_0000_0000n;
const STRUCT_VCPU = 0xffff_8881_0010_0000n;
const STRUCT_TABLE = 0xffff_8881_0020_0000n;
const STRUCT_BYTES = 0x1000n;
/** Where a struct kvm_mmu_page of 7.3 has it. */
const RCU_HEAD = 0xa8n;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export class AddressMap {
  private readonly indexBits: number;

  /** `indexBits` of the model's tables. */
  constructor(indexBits: number) {
    this.indexBits = indexBits;
  }

  /** A GFN, or the end of a range of GFNs. */
  gfn(modelled: number): number {
    let [rest, at, place] = [modelled, 0, 1];
    for (
      const fanout = 2 ** this.indexBits;
      rest > 0;
      rest = Math.floor(rest / fanout), place *= ENTRIES
    ) {
      at += (rest % fanout) * place;
    }
    return at;
  }

  /** How the level of a model, whose lowest is 0, is called by KVM. */
  level(modelled: number): number {
    return modelled + 1;
  }

  /** Frame of a page of the guest: those of a large page are one range. */
  frame(page: number): number {
    const fanout = 2 ** this.indexBits;
    return FIRST_FRAME + Math.floor(page / fanout) * ENTRIES + (page % fanout);
  }

  /** Frame of a table. */
  frameOfTable(table: PageRef): number {
    return this.frame(pageNumberOf(table));
  }

  /** Virtual address of a table's memory, of its entry when `index` is given. */
  table(table: PageRef, index = 0): string {
    return hex(DIRECT_MAP + BigInt(this.frameOfTable(table) * PAGE_BYTES + index * ENTRY_BYTES));
  }

  /** Physical address of a table's memory. */
  physical(table: PageRef): string {
    return hex(this.frameOfTable(table) * PAGE_BYTES);
  }

  /** Address of the struct kvm_mmu_page of a table. */
  sp(table: PageRef): string {
    return hex(STRUCT_TABLE + BigInt(pageNumberOf(table)) * STRUCT_BYTES);
  }

  /** Address of its head for RCU, in that structure. */
  head(table: PageRef): string {
    return hex(STRUCT_TABLE + BigInt(pageNumberOf(table)) * STRUCT_BYTES + RCU_HEAD);
  }

  /** Address of struct kvm, where mmu_lock is. */
  readonly vm: string = hex(STRUCT_VM);

  /** The struct tdx_td, which lies in KVM's own structure, as probes print it. */
  readonly td: string = `td=${hex(STRUCT_VM + 0xb000n)}`;

  /** Address of a struct kvm_vcpu. */
  vcpu(index: number): string {
    return hex(STRUCT_VCPU + BigInt(index) * STRUCT_BYTES);
  }
}
