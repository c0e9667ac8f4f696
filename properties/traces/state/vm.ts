/** A VM: its tables, its roots, and how far it is in its life. */
import type { Table } from './table.ts';

export class Vm {
  /** Address of its struct kvm, and of its mmu_lock, without the upper bits. */
  readonly id: number;
  /** The whole address, as events show it. */
  readonly name: string;
  /** Its creation is in the trace, so that all of its tables are known. */
  seenFromStart = false;
  readonly tables = new Set<Table>();
  /** Address spaces in which it has had a table. */
  readonly addressSpaces = new Set<number>();
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

  /** Its only address space; null if it has, or may have had, several. */
  get onlySpace(): number | null {
    const [space] = this.addressSpaces;
    return this.seenFromStart && this.addressSpaces.size === 1 ? (space ?? null) : null;
  }

  constructor(id: number, name: string) {
    this.id = id;
    this.name = name;
  }
}
