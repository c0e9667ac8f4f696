/** Invalidations as causes of violations, and the number by which KVM counts them. */
import type { Invalidation } from '../state/notifiers.ts';
import type { Vm } from '../state/vm.ts';
import type { World } from '../state/world.ts';
import type { Cause } from './rule.ts';

export const began = ({ line, task }: Invalidation): Cause => ({
  line,
  what: `${task.name} invalidates`,
});

/** The number that invalidations are counted with, by counting them. */
export class Sequence {
  private readonly next = new Map<Vm, number>();

  constructor(world: World) {
    world.listeners.forgetting.push(() => this.next.clear());
  }

  /** Null before an event shows it, and when it may be of another VM at the same address. */
  of(vm: Vm): number | null {
    return vm.dying ? null : (this.next.get(vm) ?? null);
  }

  is(vm: Vm, seq: number): void {
    this.next.set(vm, seq);
  }
}
