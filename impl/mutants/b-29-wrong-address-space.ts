/** B-29: another slot's flags decide. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-29',
  title: "NX recovery looks up a table of SMM's address space among the ordinary memslots",
  source: 'Linux 6.4, kvm_recover_nx_huge_pages()',
  breaks: ['K22'],
  change: {
    *slotOfTable(kvm, table) {
      return yield* kvm.slots.lookup(0, kvm.tables.gfnOf(table, 0));
    },
  },
});
