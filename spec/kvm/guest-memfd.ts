/**
 * The file behind a slot's private memory, as far as its life meets the slot's: a binding in both
 * directions. A file that is closed clears what the slot knows of it; a slot that goes takes its
 * binding back, whatever state the file is in. Source: Linux, virt/kvm/guest_memfd.c
 * (kvm_gmem_release, kvm_gmem_unbind); B-41.
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

  /** Binds a slot while a VM is set up: the file is open. */
  bindNow(slot: Slot): void {
    this.m.poke(this.references, 1);
    this.m.poke(this.bound + slot, 1);
  }

  isBound(slot: Slot): boolean {
    return this.m.peek(this.bound + slot) !== 0;
  }

  /** The file has users still, in one step; a file without any is being released. */
  *isOpen(): Steps<boolean> {
    yield access(this.references, READ);
    return this.m.peek(this.references) > 0;
  }

  /** The file forgets a slot, in one step. */
  *unbind(slot: Slot): Steps<void> {
    yield access(this.bound, WRITE);
    this.m.poke(this.bound + slot, 0);
  }

  /** The last user closes the file, in one step; whether he was the last. */
  *close(): Steps<boolean> {
    yield access(this.references, RMW);
    const before = this.m.peek(this.references);
    this.m.poke(this.references, 0);
    return before === 1;
  }

  /** Clears what a bound slot knows of the file, in one step, and forgets it. Under slots_lock. */
  *release(slot: Slot): Steps<void> {
    yield access(this.bound, RMW);
    if (!this.isBound(slot)) return;
    this.slots.pages.touch(this.slots.dataOf(slot));
    this.m.poke(this.bound + slot, 0);
  }
}
