/** Invalidations as causes of violations, and the sequence number that KVM counts them by. */
import type { Invalidation } from '../state/notifiers.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import type { Cause } from './rule.ts';

/** Start of an invalidation as the cause of a violation. */
export const invalidationCause = ({ line, task }: Invalidation): Cause => ({
  line,
  what: `${task.name} begins an invalidation`,
});

/** The sequence number of each VM, as it follows from the events so far. */
export class Sequence {
  private readonly next = new Map<Vm, number>();

  constructor(world: World) {
    world.listeners.forgetting.push(() => this.next.clear());
  }

  /** Null before an event shows it, and for a dying VM, whose address another one may reuse. */
  of(vm: Vm): number | null {
    return vm.dying ? null : (this.next.get(vm) ?? null);
  }

  set(vm: Vm, seq: number): void {
    this.next.set(vm, seq);
  }
}
