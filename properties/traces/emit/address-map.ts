/**
 * Addresses on a real machine for the pages, tables and structures of a model. A model's tables
 * have few entries. Each index of a GFN becomes an index of nine bits, so that an entry spans as
 * much at each level as it does in hardware.
 */
import { PAGE_BYTES } from '../../../spec/machine/memory.ts';
import { pageNumberOf, type PageRef } from '../../../spec/machine/pages.ts';

/** Bits of a real index. */
const INDEX_BITS = 9;
const ENTRIES = 2 ** INDEX_BITS;
const ENTRY_BYTES = 8;
/** Base of the direct map, and bases of the structures of a model. */
const DIRECT_MAP = 0xffff_8880_0000_0000n;
const FIRST_FRAME = 0x10_0000;
const STRUCT_VM = 0xffff_8881_0000_0000n;
const STRUCT_VCPU = 0xffff_8881_0010_0000n;
const STRUCT_TABLE = 0xffff_8881_0020_0000n;
const STRUCT_BYTES = 0x1000n;
/** Offset of the rcu_head in struct kvm_mmu_page of 7.3. */
const RCU_HEAD = 0xa8n;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export class AddressMap {
  private readonly fanout: number;

  /** @param fanout Number of entries of the model's tables. */
  constructor(fanout: number) {
    this.fanout = fanout;
  }

  /** GFN for a model's GFN, or for the end of a range of them. */
  gfn(modelled: number): number {
    let [gfn, weight] = [0, 1];
    for (let rest = modelled; rest > 0; rest = Math.floor(rest / this.fanout)) {
      gfn += (rest % this.fanout) * weight;
      weight *= ENTRIES;
    }
    return gfn;
  }

  /** KVM's number of a model's level, whose lowest is 0. */
  level(modelled: number): number {
    return modelled + 1;
  }

  /** Frame of a page of the guest. The frames of a large page are contiguous. */
  frame(page: number): number {
    return FIRST_FRAME + Math.floor(page / this.fanout) * ENTRIES + (page % this.fanout);
  }

  /** Frame of a table. */
  frameOfTable(table: PageRef): number {
    return this.frame(pageNumberOf(table));
  }

  /** Virtual address of an entry of a table. */
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

  /** Address of the rcu_head in that structure. */
  head(table: PageRef): string {
    return hex(STRUCT_TABLE + BigInt(pageNumberOf(table)) * STRUCT_BYTES + RCU_HEAD);
  }

  /** Address of struct kvm, which is that of mmu_lock. */
  readonly vm: string = hex(STRUCT_VM);

  /** Argument `td` of probes: the struct tdx_td inside KVM's structure of the VM. */
  readonly td: string = `td=${hex(STRUCT_VM + 0xb000n)}`;

  /** Address of a struct kvm_vcpu. */
  vcpu(index: number): string {
    return hex(STRUCT_VCPU + BigInt(index) * STRUCT_BYTES);
  }
}
