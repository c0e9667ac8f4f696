/**
 * Memory attributes: a GFN is shared, and then the primary MMU backs it, or private, and then
 * guest_memfd does. A huge page is of one kind. Source: Linux, virt/kvm/kvm_main.c
 * (kvm_vm_set_mem_attributes); K40, K43.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { READ, WRITE, type Steps, access } from '../machine/step.ts';
import { PrimaryMmu } from './primary-mmu.ts';

/** Memory attributes of a VM: which GFNs are private. */
export class Attributes {
  /** What backs private GFNs; its addresses are GFNs. */
  readonly memory: PrimaryMmu;
  private readonly m: Machine;
  private readonly cells: Cell;

  /**
   * All of `gfns` GFNs are shared at first; `first` is the first page that can back them when they
   * are private.
   */
  constructor(m: Machine, gfns: number, first: number) {
    this.m = m;
    this.cells = m.segment('memory attributes', gfns, (gfn) => `attributes[GFN ${gfn}]`);
    this.memory = new PrimaryMmu(m, gfns, first, 'guest_memfd');
  }

  /** {@link lookup} within the current step. */
  isPrivate(gfn: number): boolean {
    return this.m.peek(this.cells + gfn) !== 0;
  }

  *lookup(gfn: number): Steps<boolean> {
    yield access(this.cells + gfn, READ);
    return this.isPrivate(gfn);
  }

  *set(gfn: number, isPrivate: boolean): Steps<void> {
    yield access(this.cells + gfn, WRITE);
    this.m.poke(this.cells + gfn, isPrivate ? 1 : 0);
  }

  /** Not all GFNs of a range are of one kind. */
  isMixed(gfn: number, pages: number): boolean {
    for (let at = gfn + 1; at < gfn + pages; at++)
      if (this.isPrivate(at) !== this.isPrivate(gfn)) return true;
    return false;
  }
}
