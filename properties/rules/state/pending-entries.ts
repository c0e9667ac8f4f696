/** Entries that the holder of mmu_lock has yet to finish, checked when it releases the lock. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { FROZEN, isPresent, type Spte } from '../../../spec/kvm/spte.ts';
import type { PageRef } from '../../../spec/machine/pages.ts';
import { keyOfPlace, nameOfKey, type Key } from './entry-keys.ts';

/**
 * Entries by key, each with the actor that began to change it. The actor has to finish the change
 * before it releases mmu_lock.
 */
export class PendingEntries {
  private readonly begunBy = new Map<Key, number>();
  private readonly vm: Vm;

  constructor(vm: Vm) {
    this.vm = vm;
    vm.m.clearOnReset(this.begunBy);
  }

  /** The current actor begins to change an entry. */
  begin(key: Key): void {
    this.begunBy.set(key, this.vm.m.current);
  }

  /** Some actor, not necessarily the one that began, finishes the change of an entry. */
  finish(key: Key): void {
    if (this.begunBy.size > 0) this.begunBy.delete(key);
  }

  /**
   * Finishes an entry that was FROZEN and becomes present, as what it was or resized: it has not
   * left the mirror. K44 checks that it is in the Secure EPT.
   */
  finishThawed(table: PageRef, index: number, before: Spte, after: Spte): void {
    if (before === FROZEN && isPresent(after)) this.finish(keyOfPlace(this.vm, table, index));
  }

  /** Calls `report` for each entry that an actor leaves unfinished when it releases mmu_lock. */
  atRelease(report: (entry: string, key: Key) => void): void {
    this.vm.mmuLock.listeners.push({ releasing: () => this.reportUnfinished(report) });
  }

  private reportUnfinished(report: (entry: string, key: Key) => void): void {
    if (this.begunBy.size === 0) return;
    for (const [key, actor] of this.begunBy) {
      if (actor !== this.vm.m.current) continue;
      this.begunBy.delete(key);
      if (this.vm.td.isDead()) continue; // KVM_BUG_ON: KVM gives the VM up
      report(nameOfKey(key), key);
    }
  }
}
