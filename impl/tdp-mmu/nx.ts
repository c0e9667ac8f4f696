/** NX recovery: zapping tables that exist only because huge pages are not executable (K18). */
import { EMPTY, tableSpte } from '../../spec/kvm/spte.ts';
import type { Part } from './tdp-mmu.ts';

/** Number of tables that the worker recovers in one round. */
export const MOST_RECOVERED = 2;

export const nxRecovery: Part<
  | 'recoverNx'
  | 'recoverSome'
  | 'firstNxTable'
  | 'recoverTable'
  | 'slotOfTable'
  | 'zapPossibleNxHugePage'
> = {
  *recoverNx(kvm) {
    yield* kvm.srcu.readLock();
    yield* kvm.mmuLock.readLock();
    yield* kvm.rcu.readLock();
    yield* this.recoverSome(kvm);
    yield* kvm.rcu.readUnlock();
    yield* kvm.mmuLock.readUnlock();
    yield* kvm.srcu.readUnlock();
  },

  *recoverSome(kvm) {
    let flush = false;
    for (let i = 0; i < MOST_RECOVERED; i++) {
      const table = yield* this.firstNxTable(kvm);
      if (table < 0) break;
      flush = (yield* this.recoverTable(kvm, table)) || flush;
    }
    if (flush) yield* kvm.flushAll();
  },

  *firstNxTable(kvm) {
    yield* kvm.pagesLock.lock();
    const table = yield* kvm.nx.first();
    yield* kvm.pagesLock.unlock();
    return table;
  },

  *recoverTable(kvm, table) {
    kvm.nx.recovering(table);
    const slot = yield* this.slotOfTable(kvm, table);
    let flush = false;
    // while writes are logged nothing can become huge: the table stays, but leaves the list
    if (slot >= 0 && kvm.slots.isLogged(slot)) yield* this.unlinkTable(kvm, table);
    else flush = yield* this.zapPossibleNxHugePage(kvm, table);
    kvm.nx.recovered(table);
    return flush;
  },

  *slotOfTable(kvm, table) {
    const asId = kvm.roots.asIdOf(kvm.tables.rootOf(table));
    return yield* kvm.slots.lookup(asId, kvm.tables.gfnOf(table, 0));
  },

  *zapPossibleNxHugePage(kvm, table) {
    const parent = kvm.tables.parentOf(table);
    const index = kvm.tables.index(kvm.tables.gfnOf(table, 0), kvm.tables.levelOf(table) + 1);
    // if another actor has unlinked it meanwhile, that actor disposes of it
    if ((yield* kvm.tables.read(parent, index)) !== tableSpte(table)) return false;
    if (!(yield* kvm.tables.cmpxchg(parent, index, tableSpte(table), EMPTY))) return false;
    yield* this.handleChanged(kvm, tableSpte(table), EMPTY, true);
    return true;
  },
};
