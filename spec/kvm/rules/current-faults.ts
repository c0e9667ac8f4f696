/** The fault that each actor is handling, if any. */
import type { Machine } from '../../machine/machine.ts';
import type { Fault, Kvm } from '../kvm.ts';

export class CurrentFaults {
  private readonly m: Machine;
  private readonly faults: (Fault | null)[] = [];

  constructor(kvm: Kvm) {
    this.m = kvm.m;
    kvm.m.onReset(() => {
      if (this.faults.length > 0) this.faults.length = 0;
    });
    kvm.listeners.push({
      faultBegan: (_vcpu, fault) => {
        this.faults[kvm.m.current] = fault;
      },
      faultEnded: () => {
        this.faults[kvm.m.current] = null;
      },
    });
  }

  /** The current actor's. */
  get mine(): Fault | null {
    return this.faults[this.m.current] ?? null;
  }
}
