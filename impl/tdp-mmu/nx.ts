/** Taking back tables that exist only because huge pages may not be executable (K18). */
import { EMPTY, tableSpte } from '../../spec/kvm/spte.ts';
import type { Part } from './tdp-mmu.ts';

export const nxRecovery: Part<'recoverNx' | 'zapPossibleNxHugePage'> = {
  *recoverNx(kvm) {
    yield* kvm.srcu.readLock();
    yield* kvm.mmuLock.readLock();
    yield* kvm.rcu.readLock();
    yield* kvm.pagesLock.lock();
    const table = yield* kvm.nx.first();
    yield* kvm.pagesLock.unlock();
    if (table >= 0) {
      kvm.nx.recovering(table);
      const asId = kvm.roots.asIdOf(kvm.tables.rootOf(table));
      const slot = yield* kvm.slots.lookup(asId, kvm.tables.gfnOf(table, 0));
      // while writes are logged nothing becomes huge: then the table is not one of those that matter
      if (slot >= 0 && kvm.slots.isLogged(slot)) yield* this.unlinkTable(kvm, table);
      else if (yield* this.zapPossibleNxHugePage(kvm, table)) yield* kvm.flushAll();
      kvm.nx.recovered(table);
    }
    yield* kvm.rcu.readUnlock();
    yield* kvm.mmuLock.readUnlock();
    yield* kvm.srcu.readUnlock();
  },

  *zapPossibleNxHugePage(kvm, table) {
    const parent = kvm.tables.parentOf(table);
    if (parent < 0) return false;
    const index = kvm.tables.index(kvm.tables.gfnOf(table, 0), kvm.tables.levelOf(table) + 1);
    // whoever unlinked it meanwhile disposes of it
    if ((yield* kvm.tables.read(parent, index)) !== tableSpte(table)) return false;
    if (!(yield* kvm.tables.cmpxchg(parent, index, tableSpte(table), EMPTY))) return false;
    yield* this.handleChanged(kvm, tableSpte(table), EMPTY, true);
    return true;
  },
};
