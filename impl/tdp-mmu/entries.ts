/**
 * Changes of entries (K1 to K3, K8 to K10, K16). With mmu_lock held for read every change is a
 * cmpxchg; with it held for write, a plain store where no other writer is possible, and an exchange
 * elsewhere. A table that is no longer linked is disposed of top-down: its entries are frozen, and
 * RCU frees it.
 */
import type { Walk } from '../../spec/kvm/iterator.ts';
import type { Kvm } from '../../spec/kvm/kvm.ts';
import {
  FROZEN,
  hasVolatileBits,
  isPresent,
  kindOfSpte,
  pageOfSpte,
  TABLE,
} from '../../spec/kvm/spte.ts';
import type { Part } from './tdp-mmu.ts';

const adDisabled = (kvm: Kvm, walk: Walk): boolean => kvm.roots.adDisabled(walk.root);

export const entries: Part<
  'setSpteAtomic' | 'setSpte' | 'handleChanged' | 'handleRemovedTable' | 'unlinkTable'
> = {
  *setSpteAtomic(kvm, walk, value) {
    const { table, index, spte } = walk;
    if (!(yield* kvm.tables.cmpxchg(table, index, spte, value))) {
      yield* walk.reread();
      return false;
    }
    yield* this.handleChanged(kvm, spte, value, true);
    walk.spte = value;
    return true;
  },

  *setSpte(kvm, walk, value) {
    const { table, index } = walk;
    let before = walk.spte;
    if (hasVolatileBits(before, adDisabled(kvm, walk)))
      before = yield* kvm.tables.write(table, index, value);
    else yield* kvm.tables.store(table, index, before, value);
    yield* this.handleChanged(kvm, before, value, false);
    walk.spte = value;
  },

  *handleChanged(kvm, before, after, shared) {
    if (kindOfSpte(before) !== TABLE || after === before) return;
    yield* this.handleRemovedTable(kvm, pageOfSpte(before), shared);
  },

  *handleRemovedTable(kvm, table, shared) {
    yield* this.unlinkTable(kvm, table);
    for (let i = 0; i < kvm.tables.fanout; i++) {
      let before;
      if (shared) {
        // a fault may still install an entry here: exchange until the table is FROZEN
        do before = yield* kvm.tables.write(table, i, FROZEN);
        while (before === FROZEN);
      } else {
        before = yield* kvm.tables.read(table, i);
        if (!isPresent(before)) continue;
        before = yield* kvm.tables.write(table, i, FROZEN);
      }
      yield* this.handleChanged(kvm, before, FROZEN, shared);
    }
    yield* kvm.rcu.call('rcu', () => kvm.pages.free(table));
  },

  *unlinkTable(kvm, table) {
    if (!kvm.nx.isMarked(table)) return;
    yield* kvm.pagesLock.lock();
    yield* kvm.nx.allow(table);
    if (kvm.nx.isListed(table)) yield* kvm.nx.remove(table);
    yield* kvm.pagesLock.unlock();
  },
};
