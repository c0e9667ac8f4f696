/**
 * What rules about mmu_lock keep of a run: what its holder has taken on and still owes when it lets
 * go.
 */
import type { Vm } from '../../../impl/vm/vm.ts';
import { nameOfKey, type Key } from './entries.ts';

/**
 * What actors owe, by entry: an entry that somebody took on, and that has to be settled before the
 * lock is dropped.
 */
export class Debts {
  private readonly owedBy = new Map<Key, number>();
  private readonly vm: Vm;

  constructor(vm: Vm) {
    this.vm = vm;
    vm.m.clearOnReset(this.owedBy);
  }

  /** The current actor owes something about an entry. */
  owe(key: Key): void {
    this.owedBy.set(key, this.vm.m.current);
  }

  /** Settled, by whomever; true when it was owed. */
  settle(key: Key): boolean {
    return this.owedBy.size > 0 && this.owedBy.delete(key);
  }

  /**
   * Whenever somebody is about to release mmu_lock: tells `unpaid` of each entry that it still owes
   * something about.
   */
  dueAtRelease(unpaid: (entry: string, key: Key) => void): void {
    this.vm.mmuLock.listeners.push({ releasing: () => this.close(unpaid) });
  }

  private close(unpaid: (entry: string, key: Key) => void): void {
    if (this.owedBy.size === 0) return;
    for (const [key, by] of this.owedBy) {
      if (by !== this.vm.m.current) continue;
      this.owedBy.delete(key);
      if (this.vm.td.isDead()) continue; // KVM_BUG_ON: what could not be done is given up, not forgotten
      unpaid(nameOfKey(key), key);
    }
  }
}

/** The current actor holds mmu_lock for write. */
export const holdsForWrite = (vm: Vm): boolean => vm.mmuLock.heldForWrite(vm.m.current);

/** How the current actor holds mmu_lock, for reports. */
export function heldAs(vm: Vm): string {
  if (holdsForWrite(vm)) return 'mmu_lock held for write';
  return vm.mmuLock.heldForRead(vm.m.current) ? 'mmu_lock held for read' : 'mmu_lock not held';
}
