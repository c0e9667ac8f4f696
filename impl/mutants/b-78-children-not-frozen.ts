/** B-78: a fault that is inside the table can still install a leaf. */
import { EMPTY } from '../../spec/kvm/spte.ts';
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-78',
  title: 'A table is unlinked with mmu_lock held for read, and its entries are not frozen',
  source: 'derived from handle_removed_pt()',
  breaks: ['K16', 'K5'],
  change: {
    *handleRemovedTable(kvm, table) {
      yield* this.unlinkTable(kvm, table);
      for (let i = 0; i < kvm.tables.fanout; i++) {
        const before = yield* kvm.tables.read(table, i);
        yield* this.handleChanged(kvm, before, EMPTY, true);
      }
      yield* kvm.rcu.call('rcu', () => kvm.pages.free(table));
    },
  },
});
