/** B-29: the decision is taken by the flags of another slot. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-29',
  title: 'NX recovery looks a table of SMM up among the ordinary memslots',
  source: 'Linux 6.4, kvm_recover_nx_huge_pages()',
  breaks: ['K22'],
  change: {
    *slotOfTable(kvm, table) {
      return yield* kvm.slots.lookup(0, kvm.tables.gfnOf(table, 0));
    },
  },
});
