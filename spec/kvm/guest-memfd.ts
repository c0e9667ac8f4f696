/**
 * The binding between a memslot and the file behind its private memory. A file that is closed
 * clears its pointer in the slot; a slot that is deleted removes its binding, whatever state the
 * file is in. Source: Linux, virt/kvm/guest_memfd.c: kvm_gmem_release(), kvm_gmem_unbind(); B-41.
 */
import type { Cell, Machine } from '../machine/machine.ts';
import { READ, RMW, WRITE, type Steps, access } from '../machine/step.ts';
import type { Memslots, Slot } from './memslots.ts';

/** A guest_memfd file, and the memslots that are bound to it. */
export class GuestMemfd {
  private readonly m: Machine;
  private readonly slots: Memslots;
  private readonly references: Cell;
  private readonly bound: Cell;

  constructor(m: Machine, slots: Memslots) {
    this.m = m;
    this.slots = slots;
    this.references = m.record('guest_memfd');
    this.bound = m.segment('guest_memfd bindings', slots.places.length);
  }

  /** Opens the file and binds a slot to it, while a VM is set up. */
  bindNow(slot: Slot): void {
    this.m.poke(this.references, 1);
    this.m.poke(this.bound + slot, 1);
  }

  isBound(slot: Slot): boolean {
    return this.m.peek(this.bound + slot) !== 0;
  }

  /** Whether the file still has users, in one step; a file without any is being released. */
  *isOpen(): Steps<boolean> {
    yield access(this.references, READ);
    return this.m.peek(this.references) > 0;
  }

  /** Removes the binding of a slot, in one step. */
  *unbind(slot: Slot): Steps<void> {
    yield access(this.bound, WRITE);
    this.m.poke(this.bound + slot, 0);
  }

  /** Closes the file, in one step; true if it was open. */
  *close(): Steps<boolean> {
    yield access(this.references, RMW);
    const before = this.m.peek(this.references);
    this.m.poke(this.references, 0);
    return before === 1;
  }

  /** Clears the file's pointer in a bound slot, and the binding, in one step. Under slots_lock. */
  *release(slot: Slot): Steps<void> {
    yield access(this.bound, RMW);
    if (!this.isBound(slot)) return;
    this.slots.pages.touch(this.slots.dataOf(slot));
    this.m.poke(this.bound + slot, 0);
  }
}
