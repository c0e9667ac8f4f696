/**
 * Memory attributes: the primary MMU backs a shared GFN, guest_memfd a private one. A huge page
 * maps GFNs of one attribute. Source: Linux, virt/kvm/kvm_main.c: kvm_vm_set_mem_attributes(); K40,
 * K43.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { READ, WRITE, type Steps, access } from '../machine/step.ts';
import { PrimaryMmu } from './primary-mmu.ts';

/** Memory attributes of a VM: which GFNs are private. */
export class Attributes {
  /** Memory that backs private GFNs; its addresses are GFNs. */
  readonly memory: PrimaryMmu;
  private readonly m: Machine;
  private readonly cells: Cell;

  /**
   * All `gfns` GFNs start shared; `first` is the first page that can back them once private, and
   * `span` the number of GFNs of a huge page.
   */
  constructor(m: Machine, gfns: number, first: number, span: number) {
    this.m = m;
    this.cells = m.segment('memory attributes', gfns, (gfn) => `attributes[GFN ${gfn}]`);
    this.memory = new PrimaryMmu(m, gfns, first, span, 'guest_memfd');
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

  /** Some GFNs of a range are private and others shared. */
  isMixed(gfn: number, pages: number): boolean {
    for (let at = gfn + 1; at < gfn + pages; at++)
      if (this.isPrivate(at) !== this.isPrivate(gfn)) return true;
    return false;
  }
}
